//! A system that refuses options of sockets, as older ones do.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use libc::{
    IP_MTU_DISCOVER, IP_PKTINFO, IP_RECVTOS, IPPROTO_IP, IPPROTO_IPV6, IPV6_DONTFRAG,
    IPV6_MTU_DISCOVER, IPV6_RECVPKTINFO, IPV6_RECVTCLASS, IPV6_V6ONLY, SO_RCVBUF, SO_SNDBUF,
    SOL_SOCKET, SOL_UDP, SYS_getsockopt, SYS_setsockopt, UDP_GRO, UDP_SEGMENT, c_int, c_long,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

/// An option of a socket, and the call that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOption {
    /// What the system calls it.
    pub name: &'static str,
    call: c_long,
    level: c_int,
    number: c_int,
}

const fn set(name: &'static str, level: c_int, number: c_int) -> SocketOption {
    SocketOption { name, call: SYS_setsockopt, level, number }
}

/// Every option that is asked for when a socket is set up, and that it can do without.
pub const OPTIONS: [SocketOption; 12] = [
    set("UDP_SEGMENT", SOL_UDP, UDP_SEGMENT),
    set("UDP_GRO", SOL_UDP, UDP_GRO),
    set("IP_RECVTOS", IPPROTO_IP, IP_RECVTOS),
    set("IP_MTU_DISCOVER", IPPROTO_IP, IP_MTU_DISCOVER),
    set("IP_PKTINFO", IPPROTO_IP, IP_PKTINFO),
    set("IPV6_MTU_DISCOVER", IPPROTO_IPV6, IPV6_MTU_DISCOVER),
    set("IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO),
    set("IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS),
    set("IPV6_DONTFRAG", IPPROTO_IPV6, IPV6_DONTFRAG),
    set("SO_RCVBUF", SOL_SOCKET, SO_RCVBUF),
    set("SO_SNDBUF", SOL_SOCKET, SO_SNDBUF),
    // Whether a socket takes IPv4 as well: asked, not set.
    SocketOption {
        name: "IPV6_V6ONLY",
        call: SYS_getsockopt,
        level: IPPROTO_IPV6,
        number: IPV6_V6ONLY,
    },
];

/// Runs `test` on a thread for which, and for all that it starts, the kernel refuses `options` with
/// the error `errno`. By a filter of system calls: what is tested is the code that ships.
///
/// # Panics
/// When the kernel has no such filters, or `test` panics.
pub fn refusing<R: Send + 'static>(
    options: &[SocketOption],
    errno: c_int,
    test: impl FnOnce() -> R + Send + 'static,
) -> R {
    let filter = filter(options, errno);
    let refused = move || {
        apply_filter(&filter).expect("the kernel filters system calls");
        test()
    };
    thread::spawn(refused).join().unwrap_or_else(|panic| resume_unwind(panic))
}

fn filter(options: &[SocketOption], errno: c_int) -> BpfProgram {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for option in options {
        rules.entry(option.call).or_default().push(rule(*option));
    }
    let errno = errno.try_into().expect("errors are positive");
    let arch = std::env::consts::ARCH.try_into().expect("an architecture with filters");
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)
        .and_then(TryInto::try_into)
        .expect("a filter")
}

/// Level and number are the second and the third argument of both calls.
fn rule(option: SocketOption) -> SeccompRule {
    let equals = |argument, value: c_int| {
        let value = value.try_into().expect("not negative");
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .expect("a condition")
    };
    SeccompRule::new(vec![equals(1, option.level), equals(2, option.number)]).expect("a rule")
}
