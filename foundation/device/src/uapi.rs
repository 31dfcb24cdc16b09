//! The control protocol: WireGuard's cross-platform userspace interface, <https://www.wireguard.com/xplatform/>.
//!
//! A request is a line `get=1` or `set=1`, lines `key=value`, and an empty line. Every request is answered, and
//! every answer ends with a line `errno=N` (0 or an error number of Linux) and an empty line. A connection may carry
//! any number of requests.
//!
//! Understood are all keys of the protocol, and beyond it:
//!
//! * `public_key=` lines after `get=1` ask for these peers only. Those that the device has not are left out. The
//!   answer costs as much as the peers asked for, however many the device has.
//! * `refused_handshakes=N` in an answer: the peer's handshakes are older than one that it began before, so that its clock was set
//!   back. The line is there only while that is so. `wg` passes over it.
//! * `allowed_ip=-NETWORK` takes a network away from a peer (as the newer releases of `wg` and wireguard-go).
//!
//! A `set` is read to its end and checked before anything is done, so one that is refused has changed nothing:
//!
//! | `errno` | when |
//! |---------|------|
//! | 71 `EPROTO` | a line without `=`, text that is no UTF-8, the connection ended in the middle |
//! | 22 `EINVAL` | an unknown key, a key in the wrong place, a value that cannot be read |
//! | 90 `EMSGSIZE` | a request of more than [`MAX_REQUEST`] bytes; the connection is closed |
//! | 110 `ETIMEDOUT` | a request that is not complete after [`REQUEST_TIMEOUT`]; the connection is closed |
//! | 13 `EACCES` | the sender is neither root nor the user the device runs as; the connection is closed |
//! | 98 `EADDRINUSE`, 13, … | what the kernel says to the UDP port |
//! | 1 `EPERM`, … | what the kernel says to the firewall mark |
//!
//! What follows cannot fail. It is not atomic for those that watch, though: a large `set` is applied peer by peer
//! while packets flow, and a `get` at that time sees a part of it.
//!
//! Where the protocol leaves room, this device does as the kernel's does: a peer with the device's own public key is
//! ignored; a network belongs to the peer it was given to last; a private key of zeroes takes the key away, and
//! peers may be there before one; changing the private key ends the sessions, changing a preshared key does not.
//! It differs in one point: `replace_peers=true` keeps the session, the counters and the learnt endpoint of a peer
//! that is named again.

mod reply;
mod request;
pub(crate) mod server;

pub use reply::{DeviceStatus, PeerStatus, write_errno, write_peer, write_status};
pub use request::{AllowedIp, GetRequest, PeerRequest, SetRequest, UapiError, parse_get, parse_set};
pub use server::{MAX_REQUEST, REQUEST_TIMEOUT, SOCKET_DIR, socket_path};
