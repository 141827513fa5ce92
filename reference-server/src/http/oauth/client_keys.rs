//! The public keys of a client: a JWK set (RFC 7517 §5) of keys that verify its assertions.

use std::borrow::Cow;
use std::fmt::Display;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{
    AlgorithmParameters, CommonParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse,
};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// How many keys a client has at most: one in use, one for each host, and their successors.
const MAX_KEYS: usize = 8;
const MAX_KEY_ID: usize = 128;
/// 2048 to 4096 bits: fewer are weak, and more only cost time.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=512;
/// 65537, which every tool makes.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];
/// What only private and symmetric keys have (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What assertions may be signed by.
pub(super) const ALGORITHMS: [&str; 5] = ["ES256", "ES384", "EdDSA", "RS256", "PS256"];

/// Public keys that were checked: nobody's private ones, each of a kind that signs, each to be told from
/// the others.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct ClientKeys(JwkSet);

impl ClientKeys {
    /// The keys as they were stored.
    pub(super) fn stored(jwks: &str) -> serde_json::Result<Self> {
        serde_json::from_str(jwks).map(Self)
    }

    /// The keys as they are stored.
    pub(super) fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&self.0)
    }

    /// The key that a JWS of this header was signed with, if it is one of these and signs so: the one
    /// that `kid` names, or the only one.
    pub(super) fn key_of(&self, header: &Header) -> Option<DecodingKey> {
        let key = match &header.kid {
            Some(kid) => self.0.find(kid)?,
            None => match &self.0.keys[..] {
                [only] => only,
                _ => return None,
            },
        };
        let named = key.common.key_algorithm;
        let signs = algorithms(key).contains(&header.alg)
            && named.is_none_or(|named| named == header.alg.into());
        if signs {
            DecodingKey::from_jwk(key).ok()
        } else {
            None
        }
    }
}

impl TryFrom<Value> for ClientKeys {
    type Error = Cow<'static, str>;

    fn try_from(jwks: Value) -> Result<Self, Self::Error> {
        let keys = jwks.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("must be a JWK set: {\"keys\": [...]}")?;
        if !(1..=MAX_KEYS).contains(&keys.len()) {
            return Err(format!("must have 1 to {MAX_KEYS} keys").into());
        }
        let mut taken: Vec<Jwk> = Vec::new();
        for (at, key) in keys.iter().enumerate() {
            let in_place = |fault: &dyn Display| format!("keys[{at}] {fault}");
            let key = public_key(key).map_err(|fault| in_place(&fault))?;
            let is_known = |known: &Jwk| known.common.key_id == key.common.key_id;
            if keys.len() > 1 && key.common.key_id.is_none() {
                return Err(in_place(&"must have a kid, to be told from the others").into());
            }
            if taken.iter().any(is_known) {
                return Err(in_place(&"must have a kid of its own").into());
            }
            taken.push(key);
        }
        Ok(Self(JwkSet { keys: taken }))
    }
}

/// The key without what is of no use here.
fn public_key(key: &Value) -> Result<Jwk, &'static str> {
    let members = key.as_object().ok_or("must be an object")?;
    if PRIVATE.iter().any(|name| members.contains_key(*name)) {
        return Err("must be a public key: it has members of a private or symmetric one");
    }
    let jwk: Jwk = serde_json::from_value(key.clone()).map_err(|_| "is no JWK")?;
    let common = &jwk.common;
    if let Some(kid) = &common.key_id
        && !((1..=MAX_KEY_ID).contains(&kid.len()) && kid.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Err("must have a kid of 1 to 128 visible ASCII characters");
    }
    let signs = match (&common.public_key_use, &common.key_operations) {
        (Some(PublicKeyUse::Signature), _) => true,
        (Some(_), _) => false,
        (None, Some(operations)) => operations.contains(&KeyOperations::Verify),
        (None, None) => true,
    };
    if !signs {
        return Err("must be one that verifies signatures");
    }
    check_parameters(&jwk.algorithm)?;
    let named = common.key_algorithm;
    let fits = |named| algorithms(&jwk).iter().any(|alg| named == (*alg).into());
    if !named.is_none_or(fits) {
        return Err("must have an alg that suits its type: ES256, ES384, EdDSA, RS256 or PS256");
    }
    Ok(Jwk {
        common: CommonParameters {
            key_id: common.key_id.clone(),
            key_algorithm: named,
            public_key_use: Some(PublicKeyUse::Signature),
            ..CommonParameters::default()
        },
        algorithm: jwk.algorithm,
    })
}

fn check_parameters(parameters: &AlgorithmParameters) -> Result<(), &'static str> {
    const KINDS: &str = "must be an EC key on P-256 or P-384, an OKP key on Ed25519, or an RSA key";
    match parameters {
        AlgorithmParameters::EllipticCurve(key) => {
            let (algorithm, length): (&'static dyn VerificationAlgorithm, _) = match key.curve {
                EllipticCurve::P256 => (&ECDSA_P256_SHA256_FIXED, 32),
                EllipticCurve::P384 => (&ECDSA_P384_SHA384_FIXED, 48),
                _ => return Err(KINDS),
            };
            let (x, y) = (decoded(&key.x)?, decoded(&key.y)?);
            if (x.len(), y.len()) != (length, length) {
                return Err("must have coordinates of the curve's length");
            }
            let point = [&[4], &x[..], &y[..]].concat();
            let parsed = ParsedPublicKey::new(algorithm, point);
            parsed.map_err(|_| "is no point of its curve")?;
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            let parsed = ParsedPublicKey::new(&ED25519, decoded(&key.x)?);
            parsed.map_err(|_| "is no point of its curve")?;
        }
        AlgorithmParameters::RSA(key) => {
            let (modulus, exponent) = (decoded(&key.n)?, decoded(&key.e)?);
            let is_minimal = modulus.first().is_some_and(|first| *first >= 0x80);
            let is_odd = modulus.last().is_some_and(|last| last % 2 == 1);
            if !(RSA_MODULUS.contains(&modulus.len()) && is_minimal && is_odd) {
                return Err("must have an RSA modulus of 2048 to 4096 bits");
            }
            if exponent != RSA_EXPONENT {
                return Err("must have the RSA exponent 65537 (AQAB)");
            }
        }
        _ => return Err(KINDS),
    }
    Ok(())
}

fn decoded(text: &str) -> Result<Vec<u8>, &'static str> {
    let decoded = URL_SAFE_NO_PAD.decode(text);
    decoded.map_err(|_| "must have its numbers in base64url without padding")
}

/// What a key signs by: never what a header alone asks for.
fn algorithms(key: &Jwk) -> &'static [Algorithm] {
    match &key.algorithm {
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[Algorithm::ES256],
            EllipticCurve::P384 => &[Algorithm::ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(_) => &[Algorithm::EdDSA],
        AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
        _ => &[],
    }
}

impl PartialSchema for ClientKeys {
    fn schema() -> RefOr<Schema> {
        let key = ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Object))
            .description(Some(
                "A public key (RFC 7517 §4): EC on P-256 or P-384, OKP on Ed25519, RSA of 2048 to 4096 bits",
            ));
        let keys = ArrayBuilder::new()
            .items(key)
            .min_items(Some(1))
            .max_items(Some(MAX_KEYS));
        ObjectBuilder::new()
            .description(Some(
                "A JWK set. Of several keys each has a `kid` of its own",
            ))
            .property("keys", keys)
            .required("keys")
            .into()
    }
}

impl ToSchema for ClientKeys {
    fn name() -> Cow<'static, str> {
        "ClientKeys".into()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ec(curve: &str, x: &str, y: &str) -> Value {
        json!({"kty": "EC", "crv": curve, "x": x, "y": y})
    }

    /// RFC 7517 Appendix A.1.
    fn p256() -> Value {
        ec(
            "P-256",
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        )
    }

    /// RFC 8037 Appendix A.2.
    fn ed25519() -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
    }

    fn rsa(bytes: usize) -> Value {
        let n = URL_SAFE_NO_PAD.encode(vec![0xff; bytes]);
        json!({"kty": "RSA", "n": n, "e": "AQAB"})
    }

    fn with(mut key: Value, name: &str, value: impl Into<Value>) -> Value {
        key[name] = value.into();
        key
    }

    fn read(keys: &[Value]) -> Result<ClientKeys, String> {
        serde_json::from_value(json!({"keys": keys})).map_err(|error| error.to_string())
    }

    #[test]
    fn public_keys_are_kept_without_what_is_of_no_use() {
        let keys = [
            with(with(p256(), "kid", "a"), "x5c", json!(["…"])),
            with(with(ed25519(), "kid", "b"), "alg", "EdDSA"),
            with(with(rsa(256), "kid", "c"), "use", "sig"),
        ];
        let kept = read(&keys).expect("keys").to_json().expect("JSON");
        let value: Value = serde_json::from_str(&kept).expect("JSON");
        let expected = with(with(p256(), "kid", "a"), "use", "sig");
        assert_eq!(value["keys"][0], expected);
        assert_eq!(value["keys"][1]["alg"], "EdDSA");
        assert!(ClientKeys::stored(&kept).is_ok());
    }

    #[test]
    fn what_is_no_public_key_that_signs_is_refused() {
        let p256_off_curve = ec(
            "P-256",
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        );
        let p384_of_p256 = with(p256(), "crv", "P-384");
        let padded = with(p256(), "x", "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4=");
        let oct = json!({"kty": "oct", "k": "c2VjcmV0"});
        let secp256k1 = with(p256(), "crv", "secp256k1");
        for (key, word) in [
            (with(p256(), "d", "c2VjcmV0"), "public key"),
            (with(rsa(256), "p", ""), "public key"),
            (oct, "public key"),
            (p256_off_curve, "point"),
            (p384_of_p256, "length"),
            (padded, "base64url"),
            (secp256k1, "must be an EC key"),
            (with(p256(), "crv", "P-521"), "must be an EC key"),
            (rsa(128), "2048"),
            (rsa(513), "2048"),
            (with(rsa(256), "e", "Aw"), "65537"),
            (with(p256(), "use", "enc"), "signatures"),
            (with(p256(), "key_ops", json!(["encrypt"])), "signatures"),
            (with(p256(), "alg", "RS256"), "alg"),
            (with(p256(), "alg", "HS256"), "alg"),
            (with(p256(), "kid", ""), "kid"),
            (with(p256(), "kid", "a".repeat(129)), "kid"),
            (json!("key"), "object"),
        ] {
            let fault = read(std::slice::from_ref(&key)).expect_err(word);
            assert!(fault.contains("keys[0]"), "{key}: {fault}");
            assert!(fault.contains(word), "{key}: {fault}");
            assert!(!fault.contains("c2VjcmV0"), "{fault}");
        }
    }

    #[test]
    fn keys_are_few_and_told_apart() {
        let named = |kid: &str| with(p256(), "kid", kid);
        assert!(read(&[]).is_err());
        assert!(read(&[p256(), named("a")]).is_err());
        assert!(read(&[named("a"), named("a")]).is_err());
        let many: Vec<_> = (0..9).map(|n| named(&n.to_string())).collect();
        assert!(read(&many[..8]).is_ok());
        assert!(read(&many).is_err());
        for no_set in [json!([]), json!({}), json!({"keys": {}}), json!(null)] {
            assert!(serde_json::from_value::<ClientKeys>(no_set).is_err());
        }
    }

    #[test]
    fn a_header_chooses_a_key_and_not_how_it_signs() {
        let keys = [
            with(p256(), "kid", "ec"),
            with(with(rsa(256), "kid", "rsa"), "alg", "PS256"),
        ];
        let keys = read(&keys).expect("keys");
        let has_key = |kid: Option<&str>, alg| {
            let mut header = Header::new(alg);
            header.kid = kid.map(str::to_owned);
            keys.key_of(&header).is_some()
        };
        assert!(has_key(Some("ec"), Algorithm::ES256));
        assert!(has_key(Some("rsa"), Algorithm::PS256));
        for (kid, alg) in [
            (Some("ec"), Algorithm::HS256),
            (Some("ec"), Algorithm::ES384),
            (Some("ec"), Algorithm::RS256),
            (Some("rsa"), Algorithm::HS256),
            (Some("rsa"), Algorithm::RS256),
            (Some("nobody's"), Algorithm::ES256),
            (None, Algorithm::ES256),
        ] {
            assert!(!has_key(kid, alg), "{kid:?} {alg:?}");
        }
        let only = read(&[with(p256(), "kid", "ec")]).expect("a key");
        assert!(only.key_of(&Header::new(Algorithm::ES256)).is_some());
    }
}
