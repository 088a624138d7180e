//! Who is at which address.

use alloc::collections::BTreeMap;
use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

/// A number for each address that has one.
///
/// The addresses of IPv4 are apart: in one map they would take the room of those of IPv6, and of the tag that tells
/// both apart, which is three times their own. The maps are ordered: whoever sends chooses the address, and could choose
/// hashes that collide.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    v4: BTreeMap<SocketAddrV4, u32>,
    v6: BTreeMap<SocketAddrV6, u32>,
}

impl Directory {
    /// The number of this address; `None` if it has none.
    pub(crate) fn get(&self, address: SocketAddr) -> Option<u32> {
        match address {
            SocketAddr::V4(address) => self.v4.get(&address).copied(),
            SocketAddr::V6(address) => self.v6.get(&address).copied(),
        }
    }

    /// The address has this number now, instead of the one before.
    pub(crate) fn insert(&mut self, address: SocketAddr, number: u32) {
        match address {
            SocketAddr::V4(address) => self.v4.insert(address, number),
            SocketAddr::V6(address) => self.v6.insert(address, number),
        };
    }

    /// The address has no number any more.
    pub(crate) fn remove(&mut self, address: SocketAddr) {
        match address {
            SocketAddr::V4(address) => self.v4.remove(&address),
            SocketAddr::V6(address) => self.v6.remove(&address),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It tells what one map of all addresses tells.
        #[test]
        fn an_address_has_the_number_that_it_got_last(
            steps in prop::collection::vec((any::<bool>(), 0_u8..4, 0_u16..3, prop::option::of(any::<u32>())), 0..60),
        ) {
            let (mut directory, mut all) = (Directory::default(), HashMap::new());
            for (is_v6, host, port, number) in steps {
                let address = if is_v6 {
                    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into()], port))
                } else {
                    SocketAddr::from(([192, 0, 2, host], port))
                };
                prop_assert_eq!(directory.get(address), all.get(&address).copied());
                match number {
                    Some(number) => {
                        directory.insert(address, number);
                        all.insert(address, number);
                    }
                    None => {
                        directory.remove(address);
                        all.remove(&address);
                    }
                }
            }
            for (address, number) in &all {
                prop_assert_eq!(directory.get(*address), Some(*number));
            }
            prop_assert_eq!(directory.v4.len() + directory.v6.len(), all.len());
        }
    }
}
