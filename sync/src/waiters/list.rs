//! [`List`]: a doubly linked list through the nodes of a vector.

/// The index of no node. A vector with so large an index would not fit into memory.
pub(super) const NONE: u32 = u32::MAX;

/// The neighbours of a node in the one list that it is in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) previous: u32,
    pub(super) next: u32,
}

/// A node that can be in a list.
pub(super) trait Linked {
    fn links(&mut self) -> &mut Links;
}

#[derive(Debug)]
pub(super) struct List {
    pub(super) head: u32,
    pub(super) tail: u32,
}

impl List {
    pub(super) const fn new() -> Self {
        Self {
            head: NONE,
            tail: NONE,
        }
    }

    #[inline]
    pub(super) fn push_back<N: Linked>(&mut self, nodes: &mut [N], index: u32) {
        *at(nodes, index) = Links {
            previous: self.tail,
            next: NONE,
        };
        match self.tail {
            NONE => self.head = index,
            tail => at(nodes, tail).next = index,
        }
        self.tail = index;
    }

    pub(super) fn push_front<N: Linked>(&mut self, nodes: &mut [N], index: u32) {
        *at(nodes, index) = Links {
            previous: NONE,
            next: self.head,
        };
        match self.head {
            NONE => self.tail = index,
            head => at(nodes, head).previous = index,
        }
        self.head = index;
    }

    #[inline]
    pub(super) fn unlink<N: Linked>(&mut self, nodes: &mut [N], index: u32) {
        let Links { previous, next } = *at(nodes, index);
        match previous {
            NONE => self.head = next,
            previous => at(nodes, previous).next = next,
        }
        match next {
            NONE => self.tail = previous,
            next => at(nodes, next).previous = previous,
        }
    }
}

#[inline]
fn at<N: Linked>(nodes: &mut [N], index: u32) -> &mut Links {
    nodes[index as usize].links()
}
