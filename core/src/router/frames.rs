//! Messages as frames, and signatures by identities.

use super::{Claim, Message, Pair, Signature, Signer, Update};
use crate::wire::{EVERY_DESTINATION, Frame, RouteUpdate};
use crate::{Identity, PeerId};

impl Message {
    /// What a frame says about routes; `None` if it is about something else.
    pub(crate) fn from_frame(frame: &Frame<'_>) -> Option<Self> {
        Some(match *frame {
            Frame::RouteUpdate(update) => Self::Update(Update {
                claim: Claim {
                    destination: PeerId::claimed(*update.destination),
                    pair: Pair { epoch: update.epoch, seqno: update.seqno },
                    life: update.life,
                },
                signature: *update.signature,
                serial: update.serial,
                remaining: update.remaining,
                metric: update.metric,
            }),
            Frame::RouteRetraction { destination, serial } => {
                Self::Retraction { destination: PeerId::claimed(*destination), serial }
            }
            Frame::SeqnoRequest { destination, epoch, seqno, hops } => Self::SeqnoRequest {
                destination: PeerId::claimed(*destination),
                pair: Pair { epoch, seqno },
                hops,
            },
            Frame::RouteRequest { destination: &EVERY_DESTINATION, .. } => Self::TableRequest,
            Frame::RouteRequest { destination, hops } => {
                Self::RouteRequest { destination: PeerId::claimed(*destination), hops }
            }
            _ => return None,
        })
    }

    /// The frame that says it.
    pub(crate) fn frame(&self) -> Frame<'_> {
        match self {
            Self::Update(update) => Frame::RouteUpdate(RouteUpdate {
                serial: update.serial,
                remaining: update.remaining,
                metric: update.metric,
                ..signed(&update.claim, &update.signature)
            }),
            Self::Retraction { destination, serial } => {
                Frame::RouteRetraction { destination: destination.as_bytes(), serial: *serial }
            }
            Self::SeqnoRequest { destination, pair, hops } => Frame::SeqnoRequest {
                destination: destination.as_bytes(),
                epoch: pair.epoch,
                seqno: pair.seqno,
                hops: *hops,
            },
            Self::RouteRequest { destination, hops } => {
                Frame::RouteRequest { destination: destination.as_bytes(), hops: *hops }
            }
            Self::TableRequest => {
                Frame::RouteRequest { destination: &EVERY_DESTINATION, hops: ONE_HOP }
            }
        }
    }

    /// Which destination it says something of, as a newer statement may say something else; `None` for a question.
    pub(crate) const fn stated(&self) -> Option<&PeerId> {
        match self {
            Self::Update(update) => Some(&update.claim.destination),
            Self::Retraction { destination, .. } => Some(destination),
            _ => None,
        }
    }

    /// The number of a statement; `None` for a question.
    pub(super) const fn serial(&self) -> Option<u32> {
        match self {
            Self::Update(Update { serial, .. }) | Self::Retraction { serial, .. } => Some(*serial),
            _ => None,
        }
    }
}

/// A question that is not passed on.
const ONE_HOP: u8 = 1;

/// A claim as part of an update.
const fn signed<'a>(claim: &'a Claim, signature: &'a Signature) -> RouteUpdate<'a> {
    RouteUpdate {
        destination: claim.destination.as_bytes(),
        epoch: claim.pair.epoch,
        seqno: claim.pair.seqno,
        life: claim.life,
        signature,
        serial: 0,
        remaining: 0,
        metric: 0,
    }
}

impl Signer for Identity {
    fn sign(&self, claim: &Claim) -> Signature {
        Self::sign(self, &signed(claim, &[0; 64]).claim())
    }

    fn verify(&self, claim: &Claim, signature: &Signature) -> bool {
        claim.destination.has_signed(&signed(claim, signature).claim(), signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_asked_for_by_a_request_for_every_destination() {
        let frame = Message::TableRequest.frame();
        assert_eq!(frame, Frame::RouteRequest { destination: &[0; 32], hops: 1 });
        assert_eq!(Message::from_frame(&frame), Some(Message::TableRequest));
        let one = Message::RouteRequest { destination: PeerId::claimed([1; 32]), hops: 1 };
        assert_eq!(Message::from_frame(&one.frame()), Some(one));
    }

    #[test]
    fn a_claim_is_its_owners_word_for_word() {
        let [owner, other] = [1, 2].map(|seed| Identity::from_seed([seed; 32]));
        let pair = Pair { epoch: 3, seqno: 4 };
        let claim = Claim { destination: owner.id(), pair, life: 1050 };
        let signature = Signer::sign(&owner, &claim);
        assert!(other.verify(&claim, &signature));
        let next = Claim { pair: pair.next().expect("more"), ..claim };
        let longer = Claim { life: 1051, ..claim };
        let foreign = Claim { destination: other.id(), ..claim };
        for forged in [next, longer, foreign] {
            assert!(!other.verify(&forged, &signature));
        }
        assert!(!other.verify(&claim, &Signer::sign(&other, &claim)));
        let weak = Claim { destination: PeerId::claimed([0; 32]), ..claim };
        assert!(!other.verify(&weak, &[0; 64]));
    }
}
