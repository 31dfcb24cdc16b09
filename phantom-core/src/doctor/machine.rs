//! Checks of the machine: kernel, devices, forwarding, uplink, clock.

use std::net::IpAddr;
use std::path::Path;

use phantom_types::{Backend, is_public};

use super::{Case, Finding, filters};
use crate::desired::IP_FORWARD;

/// Where user space makes network interfaces.
const TUN: &str = "/dev/net/tun";

pub(super) fn wireguard(case: &Case<'_>) -> Finding {
    let available = match case.engine.host().wireguard.kernel_available() {
        Ok(available) => available,
        Err(error) => return case.silent(&error),
    };
    match (available, case.server().map(|server| server.backend)) {
        (true, Some(Backend::Embedded)) => {
            let found = case.ok(
                "The embedded WireGuard is in use, and the kernel has one that is faster",
                "Gömülü WireGuard kullanılıyor; çekirdekte daha hızlı olanı var",
            );
            found.hint(case.pick(
                "If you want it: phantom-api core setup backend=kernel",
                "İsterseniz: phantom-api core setup backend=kernel",
            ))
        }
        (true, _) => case.ok("The kernel has WireGuard", "Çekirdekte WireGuard var"),
        (false, Some(Backend::Kernel)) => {
            let found = case.problem(
                "The kernel's WireGuard is in use, and this kernel has none",
                "Çekirdeğin WireGuard'ı seçili, ama bu çekirdekte yok",
            );
            found.hint(case.pick(
                "Boot a kernel that has it, or run: phantom-api core setup backend=embedded",
                "WireGuard içeren bir çekirdekle başlatın veya çalıştırın: phantom-api core setup backend=embedded",
            ))
        }
        (false, _) => case.ok(
            "The kernel has no WireGuard: the embedded one is used",
            "Çekirdekte WireGuard yok: gömülü olanı kullanılır",
        ),
    }
}

pub(super) fn tun_device(case: &Case<'_>) -> Finding {
    let kernel = match case.server() {
        Some(server) => server.backend == Backend::Kernel,
        None => case.engine.host().wireguard.kernel_available().unwrap_or(false),
    };
    match case.engine.host().files.info(Path::new(TUN)) {
        Err(error) => case.silent(&error),
        Ok(Some(_)) => case.ok(format!("{TUN} is there"), format!("{TUN} var")),
        Ok(None) if kernel => case.ok(
            format!("There is no {TUN}, which the kernel's WireGuard does not need"),
            format!("{TUN} yok; çekirdeğin WireGuard'ı buna gerek duymaz"),
        ),
        Ok(None) => {
            let found = case.problem(
                format!("There is no {TUN}, which the embedded WireGuard needs"),
                format!("Gömülü WireGuard'ın gerek duyduğu {TUN} yok"),
            );
            found.hint(case.pick(
                format!("Run: modprobe tun. In a container, let its host pass the device {TUN}"),
                format!("Çalıştırın: modprobe tun. Konteynerde, {TUN} aygıtını ana makineden geçirin"),
            ))
        }
    }
}

pub(super) fn forwarding(case: &Case<'_>) -> Finding {
    let on = match case.engine.host().sysctl.get(IP_FORWARD) {
        Ok(value) => value.as_deref() == Some("1"),
        Err(error) => return case.silent(&error),
    };
    match (on, case.server()) {
        (true, _) => {
            let well = case.ok("The kernel forwards IPv4 packets", "Çekirdek IPv4 paketlerini yönlendiriyor");
            filters::forwarded(case, well)
        }
        (false, None) => case.ok(
            "The kernel does not forward IPv4 packets yet: setup switches it on",
            "Çekirdek IPv4 paketlerini henüz yönlendirmiyor: setup bunu açar",
        ),
        (false, Some(_)) => {
            let found = case.problem(
                format!("{IP_FORWARD} is off: clients do not reach the Internet"),
                format!("{IP_FORWARD} kapalı: istemciler internete ulaşamaz"),
            );
            found.hint(case.pick(
                format!("Run: phantom-api core reconcile. See who switched it off: grep -r {IP_FORWARD} /etc/sysctl*"),
                format!("Çalıştırın: phantom-api core reconcile. Kimin kapattığına bakın: grep -r {IP_FORWARD} /etc/sysctl*"),
            ))
        }
    }
}

pub(super) fn uplink(case: &Case<'_>) -> Finding {
    let network = &case.engine.host().network;
    // A server that clients reach by IPv4 needs a route for it.
    let by_ipv4 = case.server().is_some_and(|server| server.server_ip.is_some());
    let uplink = match network.uplink() {
        Ok(Some(uplink)) if uplink.address.is_some() || !by_ipv4 => uplink,
        Ok(_) => {
            let found = case.problem("There is no IPv4 default route", "Varsayılan IPv4 rotası yok");
            return found.hint(case.pick("Look at: ip route", "Bakın: ip route"));
        }
        Err(error) => return case.silent(&error),
    };
    let interface = &uplink.interface;
    let Some(server) = case.server() else {
        let public = uplink.address.filter(|address| is_public(*address)).map(IpAddr::V4);
        // A host without IPv4 is reached by IPv6.
        let public = public.or(uplink.ipv6.filter(|_| uplink.address.is_none()).map(IpAddr::V6));
        if let Some(address) = public {
            return case.ok(
                format!("The default route leaves by {interface}, from the public address {address}"),
                format!("Varsayılan rota {interface} üzerinden, {address} genel adresiyle çıkıyor"),
            );
        }
        let found = case.warning(
            format!("The default route leaves by {interface}, which has no public address"),
            format!("Varsayılan rota {interface} üzerinden çıkıyor; bu arayüzün genel adresi yok"),
        );
        return found.hint(case.pick(
            "Give the public address to setup: phantom-api core setup server_ip=<address>",
            "Genel adresi setup'a verin: phantom-api core setup server_ip=<adres>",
        ));
    };
    let port = server.port;
    let address = server.server_ip.map(IpAddr::V4).or(server.ipv6.map(IpAddr::V6));
    let Some(ip) = address.filter(|_| server.server_ip.is_some() || server.endpoint.is_none()) else {
        let host = server.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
        return case.ok(
            format!("The default route leaves by {interface}; clients connect to {host}"),
            format!("Varsayılan rota {interface} üzerinden çıkıyor; istemciler {host} adresine bağlanıyor"),
        );
    };
    let own = network.addresses().unwrap_or_default();
    if own.iter().any(|(_, address)| address.ip() == ip) {
        return case.ok(
            format!("The default route leaves by {interface}; {ip} is an address of this host"),
            format!("Varsayılan rota {interface} üzerinden çıkıyor; {ip} bu sunucunun adresi"),
        );
    }
    let found = case.warning(
        format!("{ip} is no address of this host: it must be behind a router that forwards packets to it"),
        format!("{ip} bu sunucunun adresi değil: paketleri ona ileten bir yönlendiricinin arkasında olmalı"),
    );
    found.hint(case.pick(
        format!("Let the router forward UDP port {port} to this host, or correct the address: phantom-api core setup server_ip=<address>"),
        format!("Yönlendiricide {port} UDP portunu bu sunucuya iletin veya adresi düzeltin: phantom-api core setup server_ip=<adres>"),
    ))
}

pub(super) fn clock(case: &Case<'_>) -> Finding {
    let clock = &case.engine.host().clock;
    let now = clock.now();
    if let Some(created) = case.server().map(|server| server.created).filter(|created| *created > now) {
        let found = case.problem(
            format!("The clock says {now}, which is before the setup at {created}"),
            format!("Saat {now} gösteriyor; bu, {created} tarihli kurulumdan önce"),
        );
        return found.hint(set_clock(case));
    }
    match clock.synchronised() {
        Err(error) => case.silent(&error),
        Ok(true) => case.ok("A time service keeps the clock right", "Saat bir zaman servisiyle eşitleniyor"),
        Ok(false) => {
            let found = case.warning(
                "No time service keeps the clock right: certificates and handshakes need it",
                "Saati eşitleyen bir zaman servisi yok: sertifikalar ve el sıkışmaları doğru saat ister",
            );
            found.hint(set_clock(case))
        }
    }
}

fn set_clock(case: &Case<'_>) -> String {
    case.pick(
        "Install a time service: apt install systemd-timesyncd, then look at: timedatectl",
        "Bir zaman servisi kurun: apt install systemd-timesyncd, sonra bakın: timedatectl",
    )
}
