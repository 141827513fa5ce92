"""Authlib, unmodified and as it comes: a token by each way to authenticate, verified by the server's keys,
used, introspected and revoked. REQUESTS_CA_BUNDLE names the root of the server's certificate; standard input
is the issuer, a client with a secret, and one with a private key."""

import json
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from joserfc import jwk, jwt

told = json.load(sys.stdin)
issuer, secret, keyed = told["issuer"], told["secret"], told["keyed"]
metadata = requests.get(issuer + "/.well-known/oauth-authorization-server").json()
assert metadata["issuer"] == issuer, metadata
keys = jwk.KeySet.import_key_set(requests.get(metadata["jwks_uri"]).json())


def story(client: OAuth2Session, client_id: str) -> None:
    granted = client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials", scope="devices.read")
    assert granted["scope"] == "devices.read", granted
    token = granted["access_token"]
    verified = jwt.decode(token, keys, algorithms=["ES256"])
    assert verified.header["typ"] == "at+jwt", verified.header
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": issuer},
        client_id={"essential": True, "value": client_id},
    ).validate(verified.claims)
    assert client.get(issuer + "/v1/devices").status_code == 200

    def introspected() -> dict:
        return client.introspect_token(metadata["introspection_endpoint"], token=token).json()

    assert introspected()["active"] is True
    assert client.revoke_token(metadata["revocation_endpoint"], token=token).status_code == 200
    assert introspected() == {"active": False}
    assert client.get(issuer + "/v1/devices").status_code == 401


for method in ["client_secret_basic", "client_secret_post"]:
    story(
        OAuth2Session(
            secret["client_id"],
            secret["client_secret"],
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
        ),
        secret["client_id"],
    )

session = OAuth2Session(
    keyed["client_id"],
    jwk.ECKey.import_key(keyed["jwk"]),
    token_endpoint_auth_method="private_key_jwt",
    revocation_endpoint_auth_method="private_key_jwt",
)
key = keyed["jwk"]
session.register_client_auth_method(
    PrivateKeyJWT(metadata["token_endpoint"], headers={"kid": key["kid"]}, alg=key["alg"])
)
story(session, keyed["client_id"])
