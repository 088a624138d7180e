//! Identities of peers with serde: their text where people read it, else the 32 bytes.

use core::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::identity::PeerId;

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.as_bytes().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if from.is_human_readable() {
            return from.deserialize_str(Text);
        }
        Self::from_bytes(<[u8; 32]>::deserialize(from)?).map_err(D::Error::custom)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = PeerId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a peer id of 52 characters")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PeerId, E> {
        text.parse().map_err(E::custom)
    }
}
