//! The trace that a request belongs to, by its traceparent field (W3C Trace Context level 1, section 3.2). The field goes on as
//! it came: a proxy that takes no part in tracing has nothing to add.

use super::request::Request;

/// Length of `version-trace-parent-flags` with all its dashes. Later versions may have more behind it.
const LENGTH: usize = 55;

/// The id of the trace, 32 digits of hexadecimal. None where there is no field or more than one, and of one that is not sound.
pub(crate) fn trace_id(request: &Request) -> Option<&[u8]> {
    let mut fields = request.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"traceparent"));
    match (fields.next(), fields.next()) {
        (Some((_, value)), None) => id_in(value),
        _ => None,
    }
}

fn id_in(value: &[u8]) -> Option<&[u8]> {
    let (known, more) = value.split_at_checked(LENGTH)?;
    let mut parts = known.split(|byte| *byte == b'-');
    let mut next = |length: usize| parts.next().filter(|part| part.len() == length && part.iter().all(is_digit));
    let (version, trace, parent, _flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
    let sound = match version {
        b"00" => more.is_empty(),
        b"ff" => false,
        _ => more.is_empty() || more.starts_with(b"-"),
    };
    let is_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    (sound && !is_zero(trace) && !is_zero(parent)).then_some(trace)
}

/// Capital letters are none of them.
fn is_digit(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::rules::Rules;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn only_a_sound_field_names_a_trace() {
        let table = [
            ("00-T-00f067aa0ba902b7-01", true),
            ("00-T-00f067aa0ba902b7-01-more", false),
            ("01-T-00f067aa0ba902b7-01", true),
            ("cc-T-00f067aa0ba902b7-09-what-comes", true),
            ("cc-T-00f067aa0ba902b7-09.what", false),
            ("ff-T-00f067aa0ba902b7-01", false),
            ("0-T-00f067aa0ba902b7-011", false),
            ("00-T-0000000000000000-01", false),
            ("00-T-00f067aa0ba902b7-1", false),
            ("00-T-00f067aa0ba902b7-0g", false),
            ("00-T-00F067AA0BA902B7-01", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", false),
            ("00_T-00f067aa0ba902b7-01", false),
            ("-------------------------------------------------------", false),
            ("", false),
            ("\u{e9}", false),
        ];
        for (value, sound) in table {
            let value = value.replace('T', TRACE);
            assert_eq!(id_in(value.as_bytes()), sound.then_some(TRACE.as_bytes()), "{value}");
        }
    }

    #[test]
    fn two_fields_name_none() {
        let field = format!("TraceParent: 00-{TRACE}-00f067aa0ba902b7-01\r\n");
        for (count, wanted) in [(0, None), (1, Some(TRACE.as_bytes())), (2, None)] {
            let head = format!("GET http://h/ HTTP/1.1\r\nHost: h\r\n{}\r\n", field.repeat(count));
            let request = Request::parse(head.as_bytes(), &Rules::default()).unwrap();
            assert_eq!(trace_id(&request), wanted, "{count}");
        }
    }
}
