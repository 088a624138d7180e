//! What is measured: loads, and the systems that bear them.

use crate::load::Load;
use crate::systems::System;

/// A load, and who bears it. The first system is ours.
pub(crate) struct Case {
    /// Its name in the figures.
    pub(crate) name: &'static str,
    /// What it is, for the table.
    pub(crate) title: &'static str,
    pub(crate) load: Load,
    pub(crate) systems: &'static [System],
    /// What a time is divided by: so many of `unit`.
    pub(crate) times: u32,
    /// The same with `--quick`.
    pub(crate) quick_times: u32,
    /// What the time of one is called.
    pub(crate) unit: &'static str,
}

/// All cases, in the order in which they run.
pub(crate) const CASES: [Case; 6] = [
    Case {
        name: "bulk",
        title: "reliable bulk, messages of 64 KiB (quinn-proto: one stream)",
        load: Load::Bulk,
        systems: &[System::Handfast, System::Quinn, System::Enet],
        times: 131_072,
        quick_times: 65_536,
        unit: "ns/KiB",
    },
    Case {
        name: "small_reliable",
        title: "64-byte reliable messages, one per packet (quinn-proto: bytes of one stream)",
        load: Load::Messages { at_once: 1 },
        systems: &[System::Handfast, System::Quinn, System::QuinnStreamEach, System::Enet],
        times: 100_000,
        quick_times: 50_000,
        unit: "ns/message",
    },
    Case {
        name: "small_reliable_32",
        title: "64-byte reliable messages, 32 per turn (quinn-proto: bytes of one stream)",
        load: Load::Messages { at_once: 32 },
        systems: &[System::Handfast, System::Quinn, System::QuinnStreamEach, System::Enet],
        times: 640_000,
        quick_times: 320_000,
        unit: "ns/message",
    },
    Case {
        name: "small_unreliable",
        title: "64-byte unreliable messages, one per packet",
        load: Load::Messages { at_once: 1 },
        systems: &[
            System::HandfastUnreliable,
            System::QuinnDatagram,
            System::EnetUnreliable,
            #[cfg(feature = "sockets")]
            System::Tunnel,
        ],
        times: 100_000,
        quick_times: 50_000,
        unit: "ns/message",
    },
    Case {
        name: "small_unreliable_32",
        title: "64-byte unreliable messages, 32 per turn",
        load: Load::Messages { at_once: 32 },
        systems: &[System::HandfastUnreliable, System::QuinnDatagram, System::EnetUnreliable],
        times: 640_000,
        quick_times: 320_000,
        unit: "ns/message",
    },
    Case {
        name: "handshake",
        title: "handshakes, both ends (quinn-proto: only the server proves who it is)",
        load: Load::Handshakes,
        systems: &[
            System::Handfast,
            System::Quinn,
            System::Enet,
            #[cfg(feature = "sockets")]
            System::Tunnel,
        ],
        times: 500,
        quick_times: 250,
        unit: "ns/handshake",
    },
];
