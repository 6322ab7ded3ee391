//! [`Lines`], which finds the lines in what a worker writes.

/// The maximum length of a line. A longer one is broken.
pub(super) const MAX_LINE: usize = 16 << 10;

/// Keeps the beginning of a line until the rest has come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line that has not ended yet.
    begun: Vec<u8>,
}

impl Lines {
    /// Adds bytes, and returns the lines that have ended, with their line ends.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut whole = Vec::new();
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(part);
            let has_end = part.ends_with(b"\n");
            // The line end does not count.
            while self.begun.len() - usize::from(has_end) > MAX_LINE {
                let rest = self.begun.split_off(MAX_LINE);
                whole.append(&mut self.begun);
                whole.push(b'\n');
                self.begun = rest;
            }
            if has_end {
                whole.append(&mut self.begun);
            }
        }
        whole
    }

    /// Returns the last line, if the output ended within it.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let mut last = std::mem::take(&mut self.begun);
        if !last.is_empty() {
            last.push(b'\n');
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come() {
        let text = b"one\ntwo\n\nfour\n";
        for size in 1..=text.len() {
            let mut lines = Lines::default();
            for part in text.chunks(size) {
                let whole = lines.push(part);
                assert!(
                    whole.is_empty() || whole.ends_with(b"\n"),
                    "in pieces of {size}"
                );
            }
            assert_eq!(lines.finish(), b"");
        }
    }

    #[test]
    fn a_line_that_its_worker_did_not_end_is_ended() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"the end is ne"), b"");
        assert_eq!(lines.finish(), b"the end is ne\n");
    }

    #[test]
    fn a_long_line_is_broken_and_loses_nothing() {
        let mut lines = Lines::default();
        let mut written = lines.push(&vec![b'x'; 2 * MAX_LINE + 10]);
        written.extend(lines.push(b"\n"));
        let lengths: Vec<_> = written
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::len)
            .collect();
        assert_eq!(lengths, [MAX_LINE, MAX_LINE, 10, 0]);
    }

    #[test]
    fn a_line_of_the_maximum_length_is_one_line() {
        for count in [1, 2] {
            let text = [vec![b'x'; count * MAX_LINE], b"\n".to_vec()].concat();
            for size in [1, MAX_LINE, MAX_LINE + 1, text.len()] {
                let mut lines = Lines::default();
                let parts = text.chunks(size);
                let written: Vec<_> = parts.flat_map(|part| lines.push(part)).collect();
                let ends = written.iter().filter(|&&byte| byte == b'\n');
                assert_eq!(ends.count(), count, "in pieces of {size}");
                assert_eq!(lines.finish(), b"");
            }
        }
    }
}
