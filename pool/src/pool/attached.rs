//! [`Attached`], the descriptors of a job.

use std::ops::Range;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use crate::ipc::Fds;

/// The descriptors in the arguments of a job. They are kept until the job has a result, because
/// the job may have to be sent again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attached {
    /// `None` if there are none.
    all: Option<Rc<Vec<OwnedFd>>>,
    start: u8,
    count: u8,
}

impl Attached {
    /// At most 253 descriptors.
    #[inline]
    pub(crate) fn new(descriptors: Fds) -> Self {
        if descriptors.is_empty() {
            return Self::default();
        }
        Self::some(descriptors.into_vec())
    }

    #[cold]
    fn some(descriptors: Vec<OwnedFd>) -> Self {
        match u8::try_from(descriptors.len()) {
            Ok(count) => Self {
                all: Some(Rc::new(descriptors)),
                start: 0,
                count,
            },
            Err(_) => unreachable!("a message has at most 253 descriptors"),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn count(&self) -> u8 {
        self.count
    }

    pub(crate) fn as_slice(&self) -> &[OwnedFd] {
        let (start, count) = (usize::from(self.start), usize::from(self.count));
        match &self.all {
            Some(all) => &all[start..start + count],
            None => &[],
        }
    }

    /// Returns some of the descriptors.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        let number = |number: usize| u8::try_from(number).unwrap_or(self.count).min(self.count);
        let (start, end) = (number(range.start), number(range.end));
        if start >= end {
            return Self::default();
        }
        Self {
            all: self.all.clone(),
            start: self.start + start,
            count: end - start,
        }
    }
}

#[cfg(test)]
#[cfg(not(miri))] // The descriptors are real ones.
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_part_has_the_descriptors_of_its_range() {
        let pipes = [(); 3].map(|()| std::io::pipe().unwrap());
        let all: Vec<OwnedFd> = pipes.into_iter().map(|(reader, _)| reader.into()).collect();
        let numbers: Vec<_> = all.iter().map(AsRawFd::as_raw_fd).collect();
        let all = Attached::new(all.into());
        let of = |part: &Attached| -> Vec<_> {
            assert_eq!(usize::from(part.count()), part.as_slice().len());
            part.as_slice().iter().map(AsRawFd::as_raw_fd).collect()
        };
        assert_eq!(of(&all), numbers);
        let part = all.part(1..3);
        assert_eq!(of(&part), numbers[1..]);
        assert_eq!(of(&part.part(1..2)), numbers[2..]);
        assert!(all.part(2..2).is_empty() && part.part(2..5).is_empty());
    }

    #[test]
    fn the_descriptors_are_closed_with_the_last_part() {
        let (reader, writer) = std::io::pipe().unwrap();
        let all = Attached::new(vec![writer.into()].into());
        let part = all.part(0..1);
        drop(all);
        rustix::io::ioctl_fionbio(&reader, true).unwrap();
        let read = || rustix::io::read(&reader, &mut [0_u8; 1]);
        assert_eq!(read(), Err(rustix::io::Errno::AGAIN));
        drop(part);
        assert_eq!(read(), Ok(0));
    }
}
