use http::StatusCode;

macro_rules! error_codes {
    ($($variant:ident, $code:literal, $status:ident, $title:literal;)+) => {
        /// Every machine-readable error code of the HTTP interface (contract §1), with its status.
        ///
        /// Two codes stand with two statuses, depending on whether they speak of the caller or of
        /// what the caller asked for: `device_not_paired` and `device_class_not_allowed`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $(
                #[doc = concat!("`", $code, "`: ", $title, ".")]
                $variant,
            )+
        }

        impl ErrorCode {
            /// Every code, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The `error` member.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }

            /// The `title` member: the same for each occurrence (RFC 9457 §3.1.3).
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }
        }
    };
}

error_codes! {
    InvalidRequest, "invalid_request", BAD_REQUEST, "The request is malformed";
    Unauthorized, "unauthorized", UNAUTHORIZED, "A valid credential is required";
    Forbidden, "forbidden", FORBIDDEN, "The role does not allow this";
    InsufficientScope, "insufficient_scope", FORBIDDEN, "The token's scope does not allow this";
    NotFound, "not_found", NOT_FOUND, "There is no such thing";
    MethodNotAllowed, "method_not_allowed", METHOD_NOT_ALLOWED, "The method is not allowed here";
    Conflict, "conflict", CONFLICT, "The state of things does not allow this";
    PayloadTooLarge, "payload_too_large", PAYLOAD_TOO_LARGE, "The body is too large";
    UnsupportedMediaType, "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The media type is not accepted";
    ValidationFailed, "validation_failed", UNPROCESSABLE_ENTITY, "The request breaks a rule";
    RateLimited, "rate_limited", TOO_MANY_REQUESTS, "Too many requests";
    Internal, "internal", INTERNAL_SERVER_ERROR, "The server failed";
    UpstreamError, "upstream_error", BAD_GATEWAY, "A server behind this one failed";
    Unavailable, "unavailable", SERVICE_UNAVAILABLE, "Not available at the moment";
    UpstreamTimeout, "upstream_timeout", GATEWAY_TIMEOUT, "A server behind this one is too slow";

    IdempotencyKeyReused, "idempotency_key_reused", UNPROCESSABLE_ENTITY,
        "The Idempotency-Key was used with another body";
    IdempotencyInProgress, "idempotency_in_progress", CONFLICT,
        "The first request with this Idempotency-Key is still running";

    ClientCertRequired, "client_cert_required", UNAUTHORIZED, "A client certificate is required";
    CallerNotPaired, "device_not_paired", UNAUTHORIZED, "The device is not paired";
    CallerRevoked, "device_revoked", FORBIDDEN, "The device is revoked";
    CallerClassNotAllowed, "device_class_not_allowed", FORBIDDEN,
        "The device's class does not allow this";
    MtlsNotConfigured, "mtls_not_configured", SERVICE_UNAVAILABLE,
        "The platform has no HTTPS or no CA yet";
    TenantSuspended, "tenant_suspended", FORBIDDEN, "The tenant is suspended";

    InvalidCredentials, "invalid_credentials", UNAUTHORIZED, "Address or password is wrong";
    AccountLocked, "account_locked", LOCKED, "Too many failed sign-ins";
    PasswordChangeRequired, "password_change_required", FORBIDDEN,
        "The password has to be changed first";
    ReauthenticationRequired, "reauthentication_required", FORBIDDEN,
        "The password has to be shown again";
    MfaTokenInvalid, "mfa_token_invalid", UNAUTHORIZED, "No sign-in waits for a code";
    MfaCodeInvalid, "mfa_code_invalid", UNAUTHORIZED, "The code is not valid";
    MfaLocked, "mfa_locked", LOCKED, "Too many wrong codes in a row";
    CsrfTokenInvalid, "csrf_token_invalid", FORBIDDEN,
        "A write with the session's cookie needs its CSRF token";
    CrossSiteRequest, "cross_site_request", FORBIDDEN, "A page of another site asks for this";
    LastPlatformAdmin, "last_platform_admin", CONFLICT, "The last platform administrator stays";

    BindingNotAllowed, "binding_not_allowed", UNPROCESSABLE_ENTITY,
        "The device class takes no binding";
    BindingRequired, "binding_required", UNPROCESSABLE_ENTITY, "The device class needs a binding";
    DeviceAlreadyPaired, "device_already_paired", CONFLICT, "The device is paired";
    PairingCodeInvalid, "pairing_code_invalid", UNAUTHORIZED, "The pairing code is not valid";
    PairingRateLimited, "pairing_rate_limited", TOO_MANY_REQUESTS, "Too many pairing attempts";
    CsrInvalid, "csr_invalid", BAD_REQUEST, "The certificate signing request is malformed";
    CsrInvalidAlgorithm, "csr_invalid_algorithm", BAD_REQUEST,
        "The key of the certificate signing request is not acceptable";
    CsrInvalidExtensions, "csr_invalid_extensions", BAD_REQUEST,
        "The certificate signing request asks for extensions that are not granted";
    CsrSignatureInvalid, "csr_signature_invalid", BAD_REQUEST,
        "The certificate signing request is not signed by its key";
    CsrKeyReused, "csr_key_reused", BAD_REQUEST, "The key has had a certificate before";
    RenewalConflict, "renewal_conflict", CONFLICT, "The certificate was renewed already";

    PemInvalid, "pem_invalid", BAD_REQUEST, "The PEM text cannot be read";
    CertKeyMismatch, "cert_key_mismatch", UNPROCESSABLE_ENTITY,
        "The private key belongs to another certificate";
    CertExpired, "cert_expired", UNPROCESSABLE_ENTITY, "The certificate is not valid now";
    WeakKey, "weak_key", UNPROCESSABLE_ENTITY, "The certificate's key is too weak";
    CaInUse, "ca_in_use", CONFLICT, "Devices have certificates of the CA";
    RegenerateConfirmRequired, "regenerate_confirm_required", CONFLICT,
        "The CA that this is the end of has to be confirmed";

    WebhookUrlForbidden, "webhook_url_forbidden", UNPROCESSABLE_ENTITY,
        "Events are not sent to this URL";
    WebhookDisabled, "webhook_disabled", CONFLICT, "The webhook is disabled";

    UserNotFound, "user_not_found", NOT_FOUND, "There is no such user";
    DeviceNotFound, "device_not_found", NOT_FOUND, "There is no such device";
    DeviceNotPaired, "device_not_paired", CONFLICT, "The device is not paired";
    DeviceClassNotAllowed, "device_class_not_allowed", UNPROCESSABLE_ENTITY,
        "The device's class takes no challenges";
    DeviceBusy, "device_busy", CONFLICT, "The device has too many open challenges";
    UserNotEnrolled, "user_not_enrolled", BAD_REQUEST, "The user has no palm enrolled";
    UserSuspended, "user_suspended", LOCKED, "The user is suspended";
    UserLocked, "user_locked", LOCKED, "The user is locked";
    UserThrottled, "user_throttled", TOO_MANY_REQUESTS, "The user failed too often just now";
    PalmTypeRestricted, "palm_type_restricted", FORBIDDEN, "The user's policy forbids this palm";
    KycRequired, "kyc_required", FORBIDDEN, "The user's identity is not verified";
    ConsentRequired, "consent_required", FORBIDDEN, "The user has not consented";
    AlreadyEnrolled, "already_enrolled", CONFLICT, "The palm is enrolled";
    ChallengeTerminal, "challenge_terminal", CONFLICT, "The challenge has ended";
    ChallengeExpired, "challenge_expired", GONE, "The challenge has expired";
    PalmTypeMismatch, "palm_type_mismatch", UNPROCESSABLE_ENTITY,
        "The challenge asks for the other palm";
    PalmTypeRequired, "palm_type_required", UNPROCESSABLE_ENTITY,
        "The user has two palms enrolled: say which";
    ImageMissing, "image_missing", BAD_REQUEST, "An image is missing";
    ImageInvalid, "image_invalid", BAD_REQUEST, "An image is no PNG";
}

impl ErrorCode {
    /// The generic code of a status that a component without codes of its own answered with.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            StatusCode::FORBIDDEN => Self::Forbidden,
            StatusCode::NOT_FOUND => Self::NotFound,
            StatusCode::METHOD_NOT_ALLOWED => Self::MethodNotAllowed,
            StatusCode::CONFLICT => Self::Conflict,
            StatusCode::PAYLOAD_TOO_LARGE => Self::PayloadTooLarge,
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::UnsupportedMediaType,
            StatusCode::UNPROCESSABLE_ENTITY => Self::ValidationFailed,
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited,
            StatusCode::SERVICE_UNAVAILABLE => Self::Unavailable,
            status if status.is_client_error() => Self::InvalidRequest,
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_code_and_its_status_are_given_once() {
        let pairs: HashSet<_> = ErrorCode::ALL
            .iter()
            .map(|c| (c.as_str(), c.status()))
            .collect();
        assert_eq!(pairs.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn codes_are_snake_case_and_refusals() {
        for code in ErrorCode::ALL {
            let snake = code
                .as_str()
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(snake, "{code:?}");
            assert!(code.status().as_u16() >= 400, "{code:?}");
            assert!(!code.title().ends_with('.'), "{code:?}");
        }
    }

    #[test]
    fn every_error_status_has_a_generic_code_of_its_class() {
        for status in (400..600).filter_map(|n| StatusCode::from_u16(n).ok()) {
            let code = ErrorCode::of_status(status);
            assert_eq!(
                code.status().is_server_error(),
                status.is_server_error(),
                "{status}"
            );
        }
    }
}
