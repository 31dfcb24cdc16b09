//! Datagrams, refusals and interruptions, made by hand and by the kernel.

use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLMSG_DONE, NLMSG_ERROR, NLMSG_OVERRUN};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use proptest::prelude::*;

use super::socket::{Progress, Request, Socket, take};
use super::*;

/// The datagrams of a file of captured ones: hexadecimal, a paragraph each, lines with `#` are remarks.
pub(crate) fn captured(text: &str) -> Vec<Vec<u8>> {
    text.split("\n\n")
        .map(|paragraph| {
            let lines = paragraph.lines().filter(|line| !line.starts_with('#'));
            let digits: Vec<u32> = lines.flat_map(str::chars).map(|c| c.to_digit(16).unwrap()).collect();
            digits.chunks(2).map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect::<Vec<u8>>()
        })
        .filter(|datagram| !datagram.is_empty())
        .collect()
}

/// One message with its header.
pub(crate) fn message(kind: u16, flags: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(16 + payload.len()).unwrap().to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn taken(datagram: &[u8], sequence: Option<u32>) -> Result<(Progress, Vec<Vec<u8>>), NetlinkFault> {
    let mut payloads = Vec::new();
    let progress = take(datagram, sequence, &mut |payload| {
        payloads.push(payload.to_vec());
        Ok(())
    })?;
    Ok((progress, payloads))
}

#[test]
fn datagram_is_split_into_its_messages() {
    let multi = NLM_F_MULTIPART;
    let datagram = [
        message(40, multi, 7, b"one"),
        message(40, multi, 6, b"of another request"),
        message(40, multi, 7, b"two!"),
    ]
    .concat();
    let more = Progress { ended: false, interrupted: false };
    assert_eq!(taken(&datagram, Some(7)).unwrap(), (more, vec![b"one".to_vec(), b"two!".to_vec()]));
    assert_eq!(taken(&datagram, None).unwrap().1.len(), 3);
    let end = message(NLMSG_DONE, multi, 7, &0_i32.to_ne_bytes());
    assert_eq!(taken(&end, Some(7)).unwrap().0, Progress { ended: true, interrupted: false });
    assert!(taken(&message(NLMSG_DONE, multi, 7, b""), Some(7)).unwrap().0.ended, "an end without a code");
    let acknowledged = message(NLMSG_ERROR, 0, 7, &[0; 20]);
    assert!(taken(&acknowledged, Some(7)).unwrap().0.ended);
    assert!(!taken(&acknowledged, Some(8)).unwrap().0.ended);
}

#[test]
fn interruptions_and_errors_are_found_anywhere() {
    let refused = |errno: i32| [(-errno).to_ne_bytes().as_slice(), &[0; 16]].concat();
    let part = message(40, NLM_F_MULTIPART, 7, b"part");
    let interrupted = [part.clone(), message(40, NLM_F_MULTIPART | NLM_F_DUMP_INTR, 7, b"")].concat();
    assert!(taken(&interrupted, Some(7)).unwrap().0.interrupted);
    let at_the_end = message(NLMSG_DONE, NLM_F_DUMP_INTR, 7, &0_i32.to_ne_bytes());
    assert_eq!(taken(&at_the_end, Some(7)).unwrap().0, Progress { ended: true, interrupted: true });

    let denied = [part.clone(), message(NLMSG_ERROR, 0, 7, &refused(1))].concat();
    assert!(matches!(taken(&denied, Some(7)), Err(NetlinkFault::Refused(1))));
    let failed_on_the_way = message(NLMSG_DONE, NLM_F_MULTIPART, 7, &(-ENODEV).to_ne_bytes());
    assert!(matches!(taken(&failed_on_the_way, Some(7)), Err(NetlinkFault::Refused(ENODEV))));
    assert!(matches!(taken(&message(NLMSG_ERROR, 0, 7, &refused(105)), Some(7)), Err(NetlinkFault::Overrun)));
    assert!(matches!(taken(&message(NLMSG_OVERRUN, 0, 7, b""), Some(7)), Err(NetlinkFault::Overrun)));
    for cut in [&part[..10], &part[..18], &message(NLMSG_ERROR, 0, 7, b"")] {
        assert!(matches!(taken(cut, Some(7)), Err(NetlinkFault::Garbled(_))), "{cut:?}");
    }
}

#[test]
fn faults_become_errors_with_what_was_asked() {
    let text = |fault: NetlinkFault| fault.into_error("adding 10.8.0.1/24 to wg_main").chain();
    assert_eq!(text(NetlinkFault::Refused(17)), "adding 10.8.0.1/24 to wg_main: File exists (os error 17)");
    assert_eq!(
        text(NetlinkFault::Overrun),
        "adding 10.8.0.1/24 to wg_main: No buffer space available (os error 105)"
    );
    assert_eq!(text(NetlinkFault::Silent), "adding 10.8.0.1/24 to wg_main did not end within 30 s");
    assert!(text(NetlinkFault::Unsteady).contains("kept changing"));
    assert!(matches!(NetlinkFault::from(io::Error::from_raw_os_error(105)), NetlinkFault::Overrun));
    assert!(
        matches!(NetlinkFault::from(io::Error::from_raw_os_error(11)), NetlinkFault::Silent),
        "EAGAIN after the time limit"
    );
    assert!(matches!(NetlinkFault::from(io::Error::from_raw_os_error(9)), NetlinkFault::Io(_)));
}

/// Reading needs no rights: the real kernel answers.
#[test]
fn the_kernel_answers_dumps_and_refusals() {
    let mut socket = Socket::open(NETLINK_ROUTE).unwrap();
    // RTM_GETLINK, twice on the same socket.
    for _ in 0..2 {
        let links = socket.dump(&mut Request::new(18, 16, |_| {}), Vec::new, |links, payload| {
            links.push(payload.len());
            Ok(())
        });
        assert!(!links.unwrap().is_empty());
    }
    // What a reader does not understand is the result, and the socket stays in step.
    let garbled = |(): &mut (), _: &[u8]| Err(NetlinkFault::Garbled("no".to_owned()));
    assert!(matches!(
        socket.dump(&mut Request::new(18, 16, |_| {}), || (), garbled),
        Err(NetlinkFault::Garbled(_))
    ));
    assert!(socket.dump(&mut Request::new(18, 16, |_| {}), || (), |(), _| Ok(())).is_ok());
    // A generic netlink family that does not exist.
    let mut generic = Socket::open(NETLINK_GENERIC).unwrap();
    assert!(matches!(
        generic.change(&mut Request::new(0x3ff, 4, |_| {})),
        Err(NetlinkFault::Refused(ENOENT))
    ));
}

/// An interrupted dump is begun again, and given up in the end.
#[test]
fn attempts_are_counted() {
    let mut socket = Socket::open(NETLINK_ROUTE).unwrap();
    let mut count = 0;
    let result = socket.again(|_| {
        count += 1;
        Ok((count == 3).then_some(count))
    });
    assert_eq!(result.unwrap(), 3);
    assert!(matches!(socket.again(|_| Ok(None::<()>)), Err(NetlinkFault::Unsteady)));
    assert!(matches!(
        socket.again(|_| Err::<Option<()>, _>(NetlinkFault::Overrun)),
        Err(NetlinkFault::Overrun)
    ));
    let mut count = 0;
    let refused = socket.again(|_| {
        count += 1;
        Err::<Option<()>, _>(NetlinkFault::Refused(1))
    });
    assert!(matches!(refused, Err(NetlinkFault::Refused(1))) && count == 1, "a refusal is final");
    assert!(socket.dump(&mut Request::new(18, 16, |_| {}), || (), |(), _| Ok(())).is_ok());
}

#[test]
fn rtnetlink_answers_on_its_own_runtime() {
    let route = RouteSocket::default();
    let dump = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    assert!(!route.dump(&dump).unwrap().is_empty());
    let mut unreachable = RouteMessage::default();
    unreachable.attributes.push(RouteAttribute::Destination(RouteAddress::Inet(Ipv4Addr::LOCALHOST)));
    // The family is missing: refused, and the connection lives on.
    assert!(matches!(
        route.get(RouteNetlinkMessage::GetRoute(unreachable)),
        Err(NetlinkFault::Refused(_) | NetlinkFault::Garbled(_))
    ));
    assert!(!route.dump(&dump).unwrap().is_empty());
    // Inside a task of another runtime too: made there, used there, dropped there.
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async move {
        assert!(!route.dump(&dump).unwrap().is_empty());
        drop(route);
        assert!(!RouteSocket::default().dump(&dump).unwrap().is_empty());
    });
}

proptest! {
    #[test]
    fn datagrams_of_any_bytes_are_survived(datagram in prop::collection::vec(any::<u8>(), 0..200), known in any::<bool>()) {
        let _ = taken(&datagram, known.then_some(0));
    }

    #[test]
    fn damaged_datagrams_are_survived(at in 0..300_usize, value in any::<u8>()) {
        let mut datagram = [message(40, 2, 7, &[1; 100]), message(NLMSG_ERROR, 0, 7, &[0; 20])].concat();
        if let Some(byte) = datagram.get_mut(at) {
            *byte = value;
        }
        let _ = taken(&datagram, Some(7));
    }
}
