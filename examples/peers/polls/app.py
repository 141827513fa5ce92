"""What a device's poll asks of the database, as a FastAPI service: the peer of `load polls`.

Who calls is taken from a header and believed: there are no client certificates here, and none is compared
with the active one's ledger row. Everything else is looked up on each request, as the reference server does.
"""

import os
from contextlib import asynccontextmanager
from datetime import datetime, timezone

import asyncpg
from fastapi import FastAPI, Header, HTTPException

STANDING = """
    SELECT d.status, d.pairing_expires_at, d.device_class, t.status AS tenant_status,
           (SELECT active.tbs_sha256 FROM issued_certificates active
            WHERE active.tenant_id = d.tenant_id AND active.device_id = d.device_id
              AND active.serial = d.active_serial) AS active_tbs_sha256
    FROM devices d JOIN tenants t ON t.tenant_id = d.tenant_id
    WHERE d.tenant_id = $1 AND d.device_id = $2
"""
OPEN = """
    SELECT challenge_id, kind, palm_type, status, attempts_used, max_attempts, user_id, context, display,
           binding_message, nonce, expires_at
    FROM challenges
    WHERE tenant_id = $1 AND device_id = $2 AND status IN ('pending', 'in_progress')
      AND expires_at > $3
    ORDER BY created_at, challenge_id
"""


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=4, max_size=16) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan, openapi_url=None)


@app.get("/v1/challenges/pending")
async def pending(x_tenant_id: str = Header(), x_device_id: str = Header()):
    now = datetime.now(timezone.utc)
    async with app.state.pool.acquire() as database:
        device = await database.fetchrow(STANDING, x_tenant_id, x_device_id)
        if device is None or device["status"] != "paired" or device["tenant_status"] != "active":
            raise HTTPException(401)
        milliseconds = int(now.timestamp() * 1000)
        challenges = await database.fetch(OPEN, x_tenant_id, x_device_id, milliseconds)
    return {
        "challenges": [
            {
                "challenge_id": row["challenge_id"],
                "type": row["kind"],
                "context": row["context"],
                "status": row["status"],
                "nonce": row["nonce"],
                "attempts_remaining": row["max_attempts"] - row["attempts_used"],
                "expires_at": row["expires_at"],
            }
            for row in challenges
        ],
        "next_poll_ms": 2000,
        "server_time": now.isoformat(timespec="milliseconds"),
    }
