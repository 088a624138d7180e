//! What happened at a socket.

handfast_core::counters! {
    /// Counters of one socket, or of all sockets of a driver, with those that are closed.
    SocketStats {
        /// Calls to the system that received something.
        receives,
        /// Datagrams received.
        datagrams_received,
        /// Calls to the system that failed to receive, other than for want of datagrams.
        receive_errors,
        /// Calls to the system that sent something.
        sends,
        /// Datagrams sent.
        datagrams_sent,
        /// Times the system's send buffer was full.
        sends_blocked,
        /// Datagrams the system refused to send: lost, as far as the protocol is concerned.
        datagrams_refused,
        /// Datagrams dropped because too many waited for a blocked socket already, because it was
        /// still blocked a second after the endpoint was closed, or because their socket is closed.
        datagrams_overflowed,
        /// Datagrams that arrived at the socket of one shard and were handed over to another, whole or a packet out of them that passes
        /// on to its peer, and words that such a packet did not pass; of an endpoint that has several.
        datagrams_handed_over,
        /// Of these, or that were to be: dropped because too many waited for that shard already, because they had been
        /// handed over before, or because that shard was gone a moment ago.
        handovers_dropped,
        /// Batches that had to be sent datagram by datagram because segmentation offload failed.
        offload_failures,
        /// Datagrams sent from an address of the system's choice because ours was gone.
        source_fallbacks,
    }
}
