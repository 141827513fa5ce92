//! Records of CSV (RFC 4180) that no spreadsheet takes for more than text.

/// What tables are sent as: their first record names the columns.
pub(crate) const MEDIA_TYPE: &str = "text/csv; charset=utf-8; header=present";

/// A record of these fields, with the end of its line.
///
/// A field that begins with what begins a formula gets an apostrophe before it (OWASP, CSV injection).
pub(crate) fn record<'f>(fields: impl IntoIterator<Item = &'f str>) -> String {
    let mut record = String::new();
    for (place, field) in fields.into_iter().enumerate() {
        if place > 0 {
            record.push(',');
        }
        push(&mut record, field);
    }
    record.push_str("\r\n");
    record
}

fn push(record: &mut String, field: &str) {
    let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let is_quoted = is_formula || field.contains(['"', ',', '\r', '\n']);
    if !is_quoted {
        record.push_str(field);
        return;
    }
    record.push('"');
    if is_formula {
        record.push('\'');
    }
    record.push_str(&field.replace('"', "\"\""));
    record.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        for (fields, expected) in [
            (vec!["a", "", "b c"], "a,,b c\r\n"),
            (vec!["a,b", "say \"no\""], "\"a,b\",\"say \"\"no\"\"\"\r\n"),
            (vec!["two\r\nlines"], "\"two\r\nlines\"\r\n"),
            (vec!["ä", "a=b", "1-2"], "ä,a=b,1-2\r\n"),
        ] {
            assert_eq!(record(fields), expected);
        }
    }

    #[test]
    fn what_a_spreadsheet_would_calculate_is_text() {
        for (field, expected) in [
            ("=1+1", "\"'=1+1\"\r\n"),
            ("+1", "\"'+1\"\r\n"),
            ("-1", "\"'-1\"\r\n"),
            ("@SUM(A1)", "\"'@SUM(A1)\"\r\n"),
            ("\t=1", "\"'\t=1\"\r\n"),
            ("\r=1", "\"'\r=1\"\r\n"),
            ("\n=1", "\"'\n=1\"\r\n"),
            ("=\"a\"", "\"'=\"\"a\"\"\"\r\n"),
        ] {
            assert_eq!(record([field]), expected);
        }
    }
}
