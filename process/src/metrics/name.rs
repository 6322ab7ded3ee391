//! The names that metrics and labels may have.

/// The suffixes that samples of OpenMetrics have, so that the name of one metric is never the
/// name of a sample of another.
const RESERVED: [&str; 6] = ["_total", "_created", "_bucket", "_count", "_sum", "_info"];

/// The prefix of the metrics of the supervisor itself.
const OWN: &str = "coreloop_";

/// Returns why a metric cannot have this name.
///
/// Colons, which OpenMetrics reserves for rules of the reader, are refused too.
pub(super) fn check_metric(name: &str) -> Result<(), String> {
    check(name)?;
    if let Some(suffix) = RESERVED.iter().find(|suffix| name.ends_with(**suffix)) {
        return Err(format!("it ends in `{suffix}`, which OpenMetrics adds"));
    }
    if name.starts_with(OWN) {
        return Err(format!("names with `{OWN}` belong to the supervisor"));
    }
    Ok(())
}

/// Returns why a label cannot have this name.
pub(super) fn check_label(name: &str) -> Result<(), String> {
    check(name)?;
    if name.starts_with("__") {
        return Err("names with two underscores are reserved".to_owned());
    }
    Ok(())
}

fn check(name: &str) -> Result<(), String> {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let is_valid = name.bytes().next().is_some_and(is_letter)
        && name
            .bytes()
            .all(|byte| is_letter(byte) || byte.is_ascii_digit());
    if is_valid {
        Ok(())
    } else {
        Err(
            "it has to be letters, digits and underscores of ASCII, and must not begin with a digit"
                .to_owned(),
        )
    }
}
