//! Durations and sizes as people write them: `"500ms"`, `"5m"`, `"50MiB"`.
//!
//! Called by `kind` to read values and to say what is expected, and by the
//! generated manual. One number and one unit, no blanks, no fractions: what is
//! written is what is meant, and what is printed can be pasted back.

use std::time::Duration;

/// Units of a duration, largest first, in milliseconds.
const TIME_UNITS: &[(&str, u64)] = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Units of a size, largest first, in bytes (IEC 80000-13: powers of 1,024).
const SIZE_UNITS: &[(&str, u64)] =
    &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads `500ms`, `30s`, `5m` or `1h`. `None` for everything else, overflow included.
pub(super) fn duration(text: &str) -> Option<Duration> {
    scaled(text, TIME_UNITS).map(Duration::from_millis)
}

/// Reads `64KiB`, `50MiB`, `1GiB` or `512B`. `None` for everything else, overflow included.
pub(super) fn size(text: &str) -> Option<u64> {
    scaled(text, SIZE_UNITS)
}

/// Writes a duration in the largest unit that holds it exactly; what is below
/// a millisecond is cut.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    show(millis, TIME_UNITS)
}

/// Writes a size in the largest unit that holds it exactly.
pub(super) fn show_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".to_owned();
    }
    show(bytes, SIZE_UNITS)
}

fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    // `parse` would take a sign; `number` is digits only, or empty, which it refuses.
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn show(amount: u64, units: &[(&str, u64)]) -> String {
    units
        .iter()
        .find(|(_, factor)| amount.is_multiple_of(*factor))
        .map_or_else(|| amount.to_string(), |(unit, factor)| format!("{}{unit}", amount / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_in_each_unit() {
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Some(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Some(Duration::from_secs(3600)));
        assert_eq!(duration("0s"), Some(Duration::ZERO));
    }

    #[test]
    fn refuses_durations_that_could_mean_something_else() {
        for text in ["", "30", "s", "30 s", "1.5s", "-1s", "+1s", "1m30s", "30S", "1d", "٣s", "1h "]
        {
            assert_eq!(duration(text), None, "{text:?}");
        }
        assert_eq!(duration("18446744073709551615h"), None);
        assert_eq!(duration("99999999999999999999s"), None);
    }

    #[test]
    fn reads_sizes_in_each_unit() {
        assert_eq!(size("512B"), Some(512));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("50MiB"), Some(52_428_800));
        assert_eq!(size("1GiB"), Some(1_073_741_824));
    }

    #[test]
    fn refuses_sizes_that_could_mean_something_else() {
        for text in ["", "50", "50M", "50MB", "50mib", "50 MiB", "-1KiB", "1.5MiB", "MiB", "0x1B"] {
            assert_eq!(size(text), None, "{text:?}");
        }
        assert_eq!(size("18446744073709551615KiB"), None);
    }

    #[test]
    fn writes_what_it_reads() {
        for text in ["1ms", "1500ms", "30s", "90s", "5m", "1h", "36h", "0s"] {
            assert_eq!(duration(text).map(show_duration).as_deref(), Some(text));
        }
        for text in ["1B", "1000B", "19MiB", "19457KiB", "1GiB", "0B"] {
            assert_eq!(size(text).map(show_size).as_deref(), Some(text));
        }
        assert_eq!(show_duration(Duration::from_secs(3600)), "1h");
        assert_eq!(show_size(19_456 * 1024), "19MiB");
    }
}
