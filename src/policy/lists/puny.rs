//! Labels beyond ASCII in the form in which requests name them (RFC 3492, RFC 5891). Only letters in lower case are mapped:
//! labels that need more are none. Pure.

/// The parameters of RFC 3492 section 5.
const BASE: u32 = 36;
const TMIN: u32 = 1;
const TMAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const FIRST_BIAS: u32 = 72;
const FIRST: u32 = 0x80;

/// Longest label, in characters, that can fit in 63 bytes when it is written.
const MAX_LETTERS: usize = 59;

/// Adds a label as `xn--…`. None for one with characters that would have to be composed first (RFC 5891 section 5.3), or that
/// is too long.
pub(super) fn push(out: &mut String, label: &str) -> Option<()> {
    let letters: Vec<char> = label.chars().flat_map(char::to_lowercase).collect();
    let is_plain = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '\u{b7}');
    if letters.len() > MAX_LETTERS || !letters.iter().all(is_plain) {
        return None;
    }
    out.push_str("xn--");
    encode(out, &letters)
}

/// RFC 3492 section 6.3.
fn encode(out: &mut String, letters: &[char]) -> Option<()> {
    let basic = letters.iter().filter(|letter| letter.is_ascii()).count() as u32;
    out.extend(letters.iter().filter(|letter| letter.is_ascii()));
    if basic > 0 {
        out.push('-');
    }
    let (mut code, mut delta, mut bias, mut handled) = (FIRST, 0_u32, FIRST_BIAS, basic);
    while (handled as usize) < letters.len() {
        let next = letters.iter().map(|letter| *letter as u32).filter(|other| *other >= code).min()?;
        delta = delta.checked_add((next - code).checked_mul(handled + 1)?)?;
        code = next;
        for letter in letters {
            match *letter as u32 {
                other if other < code => delta = delta.checked_add(1)?,
                other if other == code => {
                    push_number(out, delta, bias);
                    bias = adapt(delta, handled + 1, handled == basic);
                    (delta, handled) = (0, handled + 1);
                }
                _ => {}
            }
        }
        (delta, code) = (delta.checked_add(1)?, code + 1);
    }
    Some(())
}

fn push_number(out: &mut String, mut number: u32, bias: u32) {
    let mut step = BASE;
    loop {
        let least = step.saturating_sub(bias).clamp(TMIN, TMAX);
        if number < least {
            break;
        }
        out.push(digit(least + (number - least) % (BASE - least)));
        number = (number - least) / (BASE - least);
        step += BASE;
    }
    out.push(digit(number));
}

fn digit(value: u32) -> char {
    char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 })
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, count: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / count;
    let mut steps = 0;
    while delta > (BASE - TMIN) * TMAX / 2 {
        delta /= BASE - TMIN;
        steps += BASE;
    }
    steps + (BASE - TMIN + 1) * delta / (delta + SKEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_written_as_registries_have_them() {
        for (label, written) in [
            ("bücher", Some("xn--bcher-kva")),
            ("BÜCHER", Some("xn--bcher-kva")),
            ("münchen", Some("xn--mnchen-3ya")),
            ("例え", Some("xn--r8jz45g")),
            ("правда", Some("xn--80aafi6cg")),
            ("faß", Some("xn--fa-hia")),
            ("他们为什么不说中文", Some("xn--ihqwcrb4cv8a8dqg056pqjye")),
            // A u with the dots as a character of their own has to be composed first.
            ("bu\u{308}cher", None),
            ("a\u{200b}ü", None),
        ] {
            let mut out = String::new();
            assert_eq!(push(&mut out, label).map(|()| out.as_str()), written, "{label}");
        }
        assert_eq!(push(&mut String::new(), &"ü".repeat(MAX_LETTERS + 1)), None);
    }
}
