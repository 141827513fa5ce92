-- The audit trail as it is asked for: the newest rows, and those of a subject, an actor, an action, or that
-- matter.
CREATE INDEX audit_rows_newest ON audit_rows (tenant_id, at, id);
CREATE INDEX audit_rows_subject ON audit_rows (tenant_id, subject, at, id);
CREATE INDEX audit_rows_actor ON audit_rows (tenant_id, actor_id, at, id);
CREATE INDEX audit_rows_action ON audit_rows (tenant_id, action, at, id);
CREATE INDEX audit_rows_severity ON audit_rows (tenant_id, severity, at, id) WHERE severity <> 'info';

-- The ledger as it is asked for.
CREATE INDEX issued_certificates_newest ON issued_certificates (issued_at, serial);
CREATE INDEX issued_certificates_device ON issued_certificates (device_id, issued_at, serial);
