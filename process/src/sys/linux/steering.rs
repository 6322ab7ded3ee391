//! Steers connections and datagrams to the members of a `SO_REUSEPORT` group: a program in
//! classic BPF, which needs no privilege, chooses the member for the whole group.

use std::io;
use std::os::fd::AsRawFd;

use socket2::Socket;

use crate::sys::Flows;

/// Sends everything that comes to the group of `socket` to its first `slots` members.
#[expect(
    unsafe_code,
    reason = "one call to libc: neither socket2 nor rustix has this option of a group"
)]
pub(crate) fn attach(socket: &Socket, flows: Flows, slots: u32) -> io::Result<()> {
    #[expect(clippy::cast_possible_truncation, reason = "it is a few bytes")]
    const LENGTH: libc::socklen_t = size_of::<libc::sock_fprog>() as libc::socklen_t;

    let mut code = match flows {
        Flows::ByChance => program::by_chance(slots),
        Flows::ByPeer { span } => program::by_peer(slots, span),
    };
    let program = libc::sock_fprog {
        len: u16::try_from(code.len()).unwrap_or(u16::MAX),
        filter: code.as_mut_ptr(),
    };
    // SAFETY: the socket is borrowed, so its descriptor is open. The kernel reads the
    // `LENGTH` bytes of `program` and the `len` instructions that it points to, which
    // are no more than `code` holds. Both outlive the call, and the kernel copies them.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            LENGTH,
        )
    };
    if answer != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The programs. They return the index of a member.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "operation codes have 16 bits, and negative offsets are written in 32 bits"
)]
mod program {
    use libc::{
        BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_DIV, BPF_IND, BPF_JA, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K,
        BPF_LD, BPF_LDX, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MSH, BPF_MUL, BPF_RET, BPF_RSH, BPF_ST,
        BPF_TAX, BPF_W, BPF_X, BPF_XOR, SKF_AD_OFF, SKF_AD_RANDOM, SKF_NET_OFF, sock_filter,
    };

    /// The offset at which the network header begins.
    const NETWORK: u32 = SKF_NET_OFF as u32;

    pub(super) fn by_chance(slots: u32) -> Vec<sock_filter> {
        vec![
            step(
                BPF_LD | BPF_W | BPF_ABS,
                (SKF_AD_OFF + SKF_AD_RANDOM) as u32,
            ),
            step(BPF_ALU | BPF_MOD | BPF_K, slots),
            step(BPF_RET | BPF_A, 0),
        ]
    }

    /// Chooses by a hash of the peer's address and port. The network card's hash,
    /// `SKF_AD_RXHASH`, cannot be used: it is 0 for many cards, and for the loopback.
    pub(super) fn by_peer(slots: u32, span: u32) -> Vec<sock_filter> {
        let mut code = ports_and_address();
        code.extend(hash());
        code.extend([
            step(BPF_ST, 1),
            step(BPF_ALU | BPF_MOD | BPF_K, span),
            jump(BPF_JMP | BPF_JGE | BPF_K, slots, 1, 0),
            step(BPF_RET | BPF_A, 0),
            step(BPF_LD | BPF_MEM, 1),
            step(BPF_ALU | BPF_DIV | BPF_K, span),
            step(BPF_ALU | BPF_MOD | BPF_K, slots),
            step(BPF_RET | BPF_A, 0),
        ]);
        code
    }

    /// Loads both ports into word 0 of the memory, and the peer's address, folded, into A.
    fn ports_and_address() -> Vec<sock_filter> {
        let word = BPF_LD | BPF_W | BPF_ABS;
        let fold = [
            step(BPF_MISC | BPF_TAX, 0),
            step(BPF_ALU | BPF_MUL | BPF_K, 0x9E37_79B1),
        ];
        let version_6 = [
            step(word, NETWORK + 40),
            step(BPF_ST, 0),
            step(word, NETWORK + 8),
        ];
        let mut version_6 = Vec::from(version_6);
        for offset in [12, 16, 20] {
            version_6.push(fold[1]);
            version_6.push(fold[0]);
            version_6.push(step(word, NETWORK + offset));
            version_6.push(step(BPF_ALU | BPF_XOR | BPF_X, 0));
        }
        let version_4 = [
            // The header's length varies.
            step(BPF_LDX | BPF_B | BPF_MSH, NETWORK),
            step(BPF_LD | BPF_W | BPF_IND, NETWORK),
            step(BPF_ST, 0),
            step(word, NETWORK + 12),
            step(BPF_JMP | BPF_JA, version_6.len() as u32),
        ];
        let mut code = vec![
            step(BPF_LD | BPF_B | BPF_ABS, NETWORK),
            step(BPF_ALU | BPF_RSH | BPF_K, 4),
            jump(BPF_JMP | BPF_JEQ | BPF_K, 6, version_4.len() as u8, 0),
        ];
        code.extend(version_4);
        code.extend(version_6);
        code
    }

    /// Mixes the bits of A and the ports, like the last step of `MurmurHash3`.
    fn hash() -> Vec<sock_filter> {
        let mut code = vec![
            step(BPF_ALU | BPF_MUL | BPF_K, 0x9E37_79B1),
            step(BPF_LDX | BPF_MEM, 0),
            step(BPF_ALU | BPF_XOR | BPF_X, 0),
        ];
        for (shift, factor) in [(16, 0x85EB_CA6B), (13, 0xC2B2_AE35), (16, 1)] {
            code.extend([
                step(BPF_MISC | BPF_TAX, 0),
                step(BPF_ALU | BPF_RSH | BPF_K, shift),
                step(BPF_ALU | BPF_XOR | BPF_X, 0),
                step(BPF_ALU | BPF_MUL | BPF_K, factor),
            ]);
        }
        code
    }

    fn step(code: u32, k: u32) -> sock_filter {
        jump(code, k, 0, 0)
    }

    /// Skips `then` steps if the condition holds, and `otherwise` steps if not.
    fn jump(code: u32, k: u32, then: u8, otherwise: u8) -> sock_filter {
        sock_filter {
            code: code as u16,
            jt: then,
            jf: otherwise,
            k,
        }
    }
}
