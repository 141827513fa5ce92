//! The caller's trace (W3C Trace Context, `traceparent`): log lines of a request carry its id, so that
//! they are found from the other side.

use http::HeaderMap;

/// The `trace-id` of the request's one valid `traceparent`.
///
/// A header that is malformed, of the forbidden version `ff` or with ids of zeros counts as absent,
/// as the recommendation wants it (§3.2.2, §4.2). Later versions may have more behind the flags.
pub(super) fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all("traceparent").iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let mut fields = value.split('-');
    let version = hex_field(fields.next()?, 2)?;
    let trace_id = hex_field(fields.next()?, 32)?;
    let parent_id = hex_field(fields.next()?, 16)?;
    hex_field(fields.next()?, 2)?;
    let ends = version != "00" || fields.next().is_none();
    let zero = |id: &str| id.bytes().all(|digit| digit == b'0');
    let valid = ends && version != "ff" && !zero(trace_id) && !zero(parent_id);
    valid.then_some(trace_id)
}

/// A field of exactly `length` lower-case hexadecimal digits.
fn hex_field(field: &str, length: usize) -> Option<&str> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (field.len() == length && field.bytes().all(digit)).then_some(field)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(value: &str) -> Option<String> {
        let value = HeaderValue::from_str(value).expect("a header value");
        let headers = HeaderMap::from_iter([(http::HeaderName::from_static("traceparent"), value)]);
        trace_id(&headers).map(str::to_owned)
    }

    #[test]
    fn a_valid_traceparent_names_its_trace() {
        let parent = "00f067aa0ba902b7";
        assert_eq!(
            of(&format!("00-{TRACE}-{parent}-01")).as_deref(),
            Some(TRACE)
        );
        assert_eq!(
            of(&format!("cc-{TRACE}-{parent}-01-later")).as_deref(),
            Some(TRACE)
        );
        for bad in [
            String::new(),
            format!("00-{TRACE}-{parent}"),
            format!("00-{TRACE}-{parent}-01-more"),
            format!("ff-{TRACE}-{parent}-01"),
            format!("00-{}-{parent}-01", TRACE.to_uppercase()),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{TRACE}g-{parent}-01"),
        ] {
            assert_eq!(of(&bad), None, "{bad}");
        }
    }
}
