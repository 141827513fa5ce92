// openid-client, unmodified: a user authenticates by the backchannel (OpenID CIBA Core 1.0). At the other end of it
// somebody plays the scanner, who does as the binding message says. NODE_EXTRA_CA_CERTS names the root of the
// server's certificate; standard input is the issuer, clients, a user and a device.
import assert from 'node:assert/strict';
import { importJWK } from 'jose';
import * as openid from 'openid-client';

const GRANT = 'urn:openid:params:grant-type:ciba';

const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const { issuer, secret, keyed, user, device } = JSON.parse(Buffer.concat(chunks));

async function configured(client, authentication) {
  const config = await openid.discovery(new URL(issuer), client.client_id, undefined, authentication, {
    algorithm: 'oauth2',
  });
  // The signature of the ID token, by the server's keys.
  openid.enableNonRepudiationChecks(config);
  assert.ok(config.serverMetadata().backchannel_token_delivery_modes_supported.includes('poll'));
  return config;
}

const ask = (config, message, login_hint = user) =>
  openid.initiateBackchannelAuthentication(config, {
    scope: 'openid', login_hint, device_id: device, binding_message: message,
  });

const refusal = (promise, error) => assert.rejects(promise, (thrown) => thrown.error === error);

async function authenticates(client, authentication) {
  const config = await configured(client, authentication);
  const asked = await ask(config, 'wait');
  const poll = () => openid.genericGrantRequest(config, GRANT, { auth_req_id: asked.auth_req_id });
  await refusal(poll(), 'authorization_pending');
  await refusal(poll(), 'slow_down');
  await ask(config, 'go on');
  const granted = await openid.pollBackchannelAuthenticationGrant(config, asked);
  const claims = granted.claims();
  assert.equal(claims.sub, user);
  assert.equal(claims.aud, client.client_id);
  assert.deepEqual(claims.amr, ['palm', 'hwk']);
  assert.equal(claims['urn:openid:params:jwt:claim:auth_req_id'], asked.auth_req_id);
  const introspected = await openid.tokenIntrospection(config, granted.access_token);
  assert.equal(introspected.active, true);
  assert.equal(introspected.sub, user);
  await refusal(poll(), 'invalid_grant');
}

async function isDenied(client, authentication) {
  const config = await configured(client, authentication);
  const denied = await ask(config, 'deny');
  await refusal(openid.pollBackchannelAuthenticationGrant(config, denied), 'access_denied');
  await refusal(ask(config, 'go on', 'nobody'), 'unknown_user_id');
}

const { alg, kid } = keyed.jwk;
const privateKey = openid.PrivateKeyJwt({ key: await importJWK(keyed.jwk, alg), kid });
await authenticates(secret, openid.ClientSecretBasic(secret.client_secret));
await authenticates(keyed, privateKey);
await isDenied(secret, openid.ClientSecretPost(secret.client_secret));
