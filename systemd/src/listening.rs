//! Who listens on this host's ports now?
//!
//! Of this process's network namespace, as `/proc/net` has it (proc_net(5)). Whose a socket is can only be told by who may
//! look into other processes; it is a matter of words, and nothing hangs on it.

use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

use plan::preflight::{Listener, Process};

/// The tables, the protocol of each, and the state of a socket there that takes what comes: `LISTEN`, or for UDP one that
/// is connected to nobody.
const TABLES: [(&str, &str, &str); 4] =
    [("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07")];
/// More processes than a host has that is looked at before a switch.
const MOST_PROCESSES: usize = 20_000;

/// Every socket that listens, and whose it is where that can be told.
pub fn listeners() -> Vec<Listener> {
    let mut found = Vec::new();
    for (table, protocol, state) in TABLES {
        let text = fs::read_to_string(Path::new("/proc/self/net").join(table)).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| socket(line, protocol, state)));
    }
    let owners = owners();
    let named = found.into_iter().map(|(mut listener, inode)| {
        listener.process = owners.get(&inode).cloned();
        listener
    });
    named.collect()
}

/// One line of a table: `0: 0100007F:1F90 00000000:0000 0A … uid timeout inode`.
fn socket(line: &str, protocol: &'static str, wanted: &str) -> Option<(Listener, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (address, port) = fields.get(1)?.split_once(':')?;
    if *fields.get(3)? != wanted {
        return None;
    }
    let listener = Listener {
        protocol,
        address: read_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        process: None,
    };
    Some((listener, fields.get(9)?.parse().ok()?))
}

/// Words of 32 bits in the machine's own order.
fn read_address(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| Some(u32::from_str_radix(hex.get(at * 8..at * 8 + 8)?, 16).ok()?.to_ne_bytes());
    if hex.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words: Vec<u8> = (0..4).map(word).collect::<Option<Vec<_>>>()?.concat();
    let bytes: [u8; 16] = words.try_into().ok()?;
    Some(Ipv6Addr::from(bytes).into())
}

/// The processes, by the numbers of the sockets that they have open.
fn owners() -> BTreeMap<u64, Process> {
    let mut owners = BTreeMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for entry in entries.take(MOST_PROCESSES) {
        let folder = entry.path();
        let numbers = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
        let sockets: Vec<u64> =
            numbers.filter_map(|file| socket_number(&fs::read_link(file.path()).ok()?)).collect();
        if sockets.is_empty() {
            continue;
        }
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        let process = Process { name: read("comm").trim_end().to_owned(), unit: unit(&read("cgroup")) };
        owners.extend(sockets.into_iter().map(|number| (number, process.clone())));
    }
    owners
}

/// `socket:[123]`.
fn socket_number(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The service that a process belongs to (cgroups(7)): `0::/system.slice/nginx.service`.
fn unit(cgroup: &str) -> Option<String> {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(PathBuf::from);
    let mut names = paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()));
    names.find(|name| name.ends_with(".service"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_that_listens_is_found_with_its_process_and_one_that_does_not_is_not() {
        let listening = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listening.local_addr().expect("an address").port();
        let of_port = || listeners().into_iter().find(|one| one.port == port && one.protocol == "tcp");
        let found = of_port().expect("it listens");
        assert_eq!(found.address, IpAddr::from([127, 0, 0, 1]));
        assert!(found.process.is_some_and(|process| !process.name.is_empty()));
        drop(listening);
        assert_eq!(of_port(), None);
    }

    #[test]
    fn a_line_of_each_kind() {
        let listen = "0: 0100007F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 77 1 0 100 0 0 10 0";
        let read = |line: &str, state| socket(line, "tcp", state).map(|(one, inode)| (one.port, inode));
        if cfg!(target_endian = "little") {
            assert_eq!(read_address("0100007F"), Some(Ipv4Addr::LOCALHOST.into()));
            let v6 = "00000000000000000000000001000000";
            assert_eq!(read_address(v6), Some(Ipv6Addr::LOCALHOST.into()));
        }
        assert_eq!(read(listen, "0A"), Some((8080, 77)));
        assert_eq!(read(listen, "07"), None, "a connection");
        assert_eq!(read("sl local_address rem_address st", "0A"), None, "the heading");
        assert_eq!(unit("0::/system.slice/nginx.service\n").as_deref(), Some("nginx.service"));
        assert_eq!(unit("0::/user.slice/session-1.scope\n"), None);
        assert_eq!(socket_number(Path::new("socket:[12]")), Some(12));
        assert_eq!(socket_number(Path::new("/dev/null")), None);
    }
}
