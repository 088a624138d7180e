//! A few of very many datagrams.

use crate::network::Datagram;
use crate::rng::Rng;

/// A sample: each datagram of all time is as likely to be in it as any other.
#[derive(Debug, Default)]
pub(super) struct Sample {
    kept: Vec<Datagram>,
    offered: u64,
}

impl Sample {
    /// One more was seen.
    pub(super) fn offer(&mut self, datagram: &Datagram, rng: &mut Rng) {
        self.offered += 1;
        if self.kept.len() < SIZE {
            self.kept.push(datagram.clone());
        } else if let Ok(place) = usize::try_from(rng.range(0..=self.offered - 1))
            && let Some(old) = self.kept.get_mut(place)
        {
            old.clone_from(datagram);
        }
    }

    /// Those in it.
    pub(super) fn kept(&self) -> &[Datagram] {
        &self.kept
    }
}

const SIZE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::NodeId;

    #[test]
    fn early_and_late_datagrams_are_kept_alike() {
        let (address, node) = (([10, 0, 0, 1], 1).into(), NodeId::NOBODY);
        let mut rng = Rng::from_seed(1);
        let mut quarters = [0_u32; 4];
        for _ in 0..200 {
            let mut sample = Sample::default();
            for number in 0..4 * SIZE {
                let bytes = vec![u8::try_from(number / SIZE).expect("a quarter")];
                let (source, destination) = (address, address);
                let (from, to) = (node, node);
                sample
                    .offer(&Datagram { from, to, source, destination, ecn: None, bytes }, &mut rng);
            }
            assert_eq!(sample.kept().len(), SIZE);
            sample.kept().iter().for_each(|kept| quarters[usize::from(kept.bytes[0])] += 1);
        }
        // 3,200 of each are expected.
        assert!(quarters.iter().all(|&kept| (3_000..3_400).contains(&kept)), "{quarters:?}");
    }
}
