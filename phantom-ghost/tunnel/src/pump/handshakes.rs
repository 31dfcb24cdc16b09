//! How many messages of WireGuard's handshake go through a tunnel.
//!
//! To WireGuard every tunnel comes from one address, 127.0.0.1, and by their address the kernel bounds the handshakes of those who
//! come. What one client sends too many of would be taken from all others, so that it is dropped before it gets there.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::limits::{Bucket, Rate};

/// What tunnels that share it may still send of such messages. What is too much is lost, as datagrams may be, and the client asks again.
#[derive(Debug)]
pub struct Handshakes {
    rate: Rate,
    left: Mutex<Bucket>,
    /// What more tunnels than these share.
    all: Option<Arc<Self>>,
}

impl Handshakes {
    /// So many, and at most what is left of `all`.
    pub fn new(rate: Rate, all: Option<Arc<Self>>) -> Self {
        Self { rate, left: Mutex::new(Bucket::new(rate, Instant::now())), all }
    }

    /// Takes one, if there is one.
    fn take(&self) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.take(self.rate, Instant::now()) && self.all.as_ref().is_none_or(|all| all.take())
    }

    /// Whether nothing of it is used up.
    pub(crate) fn is_full(&self) -> bool {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.is_full(self.rate, Instant::now())
    }

    /// Whether `datagram` may pass. Only messages of a handshake count.
    pub(crate) fn let_pass(&self, datagram: &[u8]) -> bool {
        !is_handshake(datagram) || self.take()
    }
}

/// Whether WireGuard takes it for an initiation, a response or a cookie: by kind and size, as all that it looks at first.
fn is_handshake(datagram: &[u8]) -> bool {
    matches!((datagram.first(), datagram.len()), (Some(1), 148) | (Some(2), 92) | (Some(3), 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_handshake_messages_are_counted() {
        let handshakes = Handshakes::new(Rate { burst: 3, per_second: 0 }, None);
        let message = |kind: u8, length: usize| [vec![kind], vec![0; length - 1]].concat();
        for (kind, length) in [(4, 148), (4, 32), (1, 149), (2, 148), (3, 92), (0, 64)] {
            assert!((0..9).all(|_| handshakes.let_pass(&message(kind, length))), "{kind} {length}");
        }
        assert!(handshakes.let_pass(&[]));
        let all = [(1, 148), (2, 92), (3, 64)].map(|(kind, length)| message(kind, length));
        assert!(all.iter().all(|message| handshakes.let_pass(message)));
        assert!(!all.iter().any(|message| handshakes.let_pass(message)));
        assert!(handshakes.let_pass(&message(4, 148)));
    }

    #[test]
    fn what_is_shared_is_shared() {
        let initiation = [&[1][..], &[0; 147]].concat();
        let all = Arc::new(Handshakes::new(Rate { burst: 3, per_second: 0 }, None));
        let own = || Handshakes::new(Rate { burst: 2, per_second: 0 }, Some(Arc::clone(&all)));
        let (one, two) = (own(), own());
        let passed = |of: &Handshakes| (0..9).filter(|_| of.let_pass(&initiation)).count();
        assert_eq!((passed(&one), passed(&two)), (2, 1));
    }
}
