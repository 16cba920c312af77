//! Sizes as people write them: `4096`, `"64KiB"`, `"64 MiB"`.

const UNITS: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `"65536"`, `"64KiB"`, `"64 MiB"` or `"1GiB"` as bytes. Only binary units exist, so that nobody
/// has to know whether `MB` means a million.
pub(crate) fn bytes_from_text(text: &str) -> Option<u64> {
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), *factor)))
        .unwrap_or((text, 1));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The shortest exact way to write a size: `64MiB`, `3328KiB`, `100`.
pub(crate) fn bytes_text(bytes: u64) -> String {
    UNITS
        .iter()
        .rev()
        .find(|(_, factor)| bytes > 0 && bytes.is_multiple_of(*factor))
        .map_or_else(
            || bytes.to_string(),
            |(unit, factor)| format!("{}{unit}", bytes / factor),
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_exactly_or_not_at_all() {
        let read = [
            "0",
            "65536",
            "64KiB",
            "64 MiB",
            "1GiB",
            "64MB",
            "-1",
            "+1",
            "",
            "KiB",
            "1.5MiB",
            "99999999999999GiB",
        ];
        let expect = [
            Some(0),
            Some(65536),
            Some(65536),
            Some(67_108_864),
            Some(1_073_741_824),
            None,
            None,
            None,
            None,
            None,
            None,
            None,
        ];
        assert_eq!(read.map(bytes_from_text), expect);
    }

    #[test]
    fn sizes_are_written_with_the_largest_exact_unit() {
        assert_eq!(
            [0, 100, 3328 << 10, 64 << 20, 2 << 30].map(bytes_text),
            ["0", "100", "3328KiB", "64MiB", "2GiB"]
        );
    }
}
