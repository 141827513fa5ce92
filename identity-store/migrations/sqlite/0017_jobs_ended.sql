-- Jobs that ended long ago are deleted once a minute, and found without reading the others.
CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
