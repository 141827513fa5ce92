// openid-client and oauth4webapi, unmodified: a token by each way to authenticate, verified by the server's
// keys, used, introspected and revoked. NODE_EXTRA_CA_CERTS names the root of the server's certificate;
// standard input is the issuer, a client with a secret, and one with a private key.
import assert from 'node:assert/strict';
import { createRemoteJWKSet, importJWK, jwtVerify } from 'jose';
import * as oauth from 'oauth4webapi';
import * as openid from 'openid-client';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { issuer, secret, keyed } = JSON.parse(Buffer.concat(chunks));
const { alg, kid } = keyed.jwk;
const privateKey = { key: await importJWK(keyed.jwk, alg), kid };

async function openidClient(client, authentication) {
  const config = await openid.discovery(new URL(issuer), client.client_id, undefined, authentication, {
    algorithm: 'oauth2',
  });
  const metadata = config.serverMetadata();
  assert.equal(metadata.issuer, issuer);
  const granted = await openid.clientCredentialsGrant(config, { scope: 'devices.read' });
  assert.equal(granted.scope, 'devices.read');
  const token = granted.access_token;
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
  const { payload } = await jwtVerify(token, keys, { issuer, audience: issuer, typ: 'at+jwt' });
  assert.equal(payload.client_id, client.client_id);
  const devices = () =>
    openid.fetchProtectedResource(config, token, new URL(`${issuer}/v1/devices`), 'GET');
  assert.equal((await devices()).status, 200);
  const introspected = await openid.tokenIntrospection(config, token);
  assert.equal(introspected.active, true);
  assert.equal(introspected.jti, payload.jti);
  await openid.tokenRevocation(config, token);
  assert.deepEqual(await openid.tokenIntrospection(config, token), { active: false });
  await assert.rejects(devices(), { code: 'OAUTH_WWW_AUTHENTICATE_CHALLENGE', status: 401 });
  // Again, and what never was a token: no error.
  await openid.tokenRevocation(config, token);
  await openid.tokenRevocation(config, 'no token');
}

async function oauth4webapi(client, authentication) {
  const server = new URL(issuer);
  const discovered = await oauth.discoveryRequest(server, { algorithm: 'oauth2' });
  const as = await oauth.processDiscoveryResponse(server, discovered);
  const request = await oauth.clientCredentialsGrantRequest(as, client, authentication, {});
  const granted = await oauth.processClientCredentialsResponse(as, client, request);
  const resource = () =>
    new Request(`${issuer}/v1/devices`, {
      headers: { authorization: `Bearer ${granted.access_token}` },
    });
  // RFC 9068 §4, by the other side's own reading of it.
  const claims = await oauth.validateJwtAccessToken(as, resource(), issuer);
  assert.equal(claims.client_id, client.client_id);
  assert.equal((await fetch(resource())).status, 200);
  const revocation = await oauth.revocationRequest(as, client, authentication, granted.access_token);
  await oauth.processRevocationResponse(revocation);
  const question = await oauth.introspectionRequest(as, client, authentication, granted.access_token);
  const answer = await oauth.processIntrospectionResponse(as, client, question);
  assert.deepEqual(answer, { active: false });
  assert.equal((await fetch(resource())).status, 401);
  const wrong = await oauth.clientCredentialsGrantRequest(
    as, client, oauth.ClientSecretPost('wrong'), {},
  );
  await assert.rejects(oauth.processClientCredentialsResponse(as, client, wrong), {
    error: 'invalid_client',
  });
}

await openidClient(secret, openid.ClientSecretBasic(secret.client_secret));
await openidClient(secret, openid.ClientSecretPost(secret.client_secret));
await openidClient(keyed, openid.PrivateKeyJwt(privateKey));
await oauth4webapi(secret, oauth.ClientSecretBasic(secret.client_secret));
await oauth4webapi(secret, oauth.ClientSecretPost(secret.client_secret));
await oauth4webapi(keyed, oauth.PrivateKeyJwt(privateKey));
