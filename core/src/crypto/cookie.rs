//! Cookies: an initiator that returns one has shown that it receives what is sent to its address, and the
//! responder keeps nothing for it in the meantime (RFC 9147 section 5.1; the WireGuard paper, section 5.3).

use super::TAG;
use super::hash::{Secret, equal, expand, keyed};

/// Makes and checks cookies.
///
/// A cookie binds the initiator's origin, its session index and the second of issue. The secret in it
/// changes every two minutes; which one was used follows from the time the initiator sends back.
pub(crate) struct CookieJar {
    master: Secret,
}

impl CookieJar {
    /// A jar whose secrets all derive from `master`, which is random and used for nothing else.
    pub(crate) const fn new(master: Secret) -> Self {
        Self { master }
    }

    /// The cookie for an initiator at `origin` that chose `sender_index`, at `now` (seconds).
    pub(crate) fn issue(&self, now: u32, origin: &[u8], sender_index: u32) -> [u8; TAG] {
        let secret = expand(&self.master, [COOKIE, &(now / SLOT).to_le_bytes()]);
        keyed(&secret, &[origin, &now.to_le_bytes(), &sender_index.to_le_bytes()])
    }

    /// Whether `cookie` was issued at `cookie_time` for this initiator and is not too old at `now`
    /// (both in seconds).
    pub(crate) fn verify(
        &self,
        now: u32,
        cookie_time: u32,
        cookie: &[u8; TAG],
        origin: &[u8],
        sender_index: u32,
    ) -> bool {
        let Some(age) = now.checked_sub(cookie_time) else {
            return false;
        };
        age <= LIFE && equal(cookie, &self.issue(cookie_time, origin, sender_index))
    }
}

/// How long a cookie is good for, in seconds.
const LIFE: u32 = 30;
/// How long one secret issues cookies, in seconds.
const SLOT: u32 = 120;
const COOKIE: &[u8] = b"handfast/1 cookie";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::assert_wiped;
    use proptest::prelude::*;

    #[test]
    fn the_secret_behind_all_cookies_is_wiped() {
        let CookieJar { master } = CookieJar::new(Secret::default());
        assert_wiped(&master);
    }

    proptest! {
        #[test]
        fn a_cookie_is_good_for_its_caller_for_30_seconds_and_for_nothing_else(
            master: [u8; 32],
            issued: u32,
            origin in prop::collection::vec(any::<u8>(), 1..40),
            index: u32,
            later in 0..200_u32,
            flip in 0..128_usize,
        ) {
            let jar = CookieJar::new(master.into());
            let cookie = jar.issue(issued, &origin, index);
            let now = issued.saturating_add(later);
            let good = jar.verify(now, issued, &cookie, &origin, index);
            prop_assert_eq!(good, now - issued <= 30);

            let mut forged = cookie;
            forged[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!jar.verify(issued, issued, &forged, &origin, index));
            prop_assert!(!jar.verify(issued, issued, &cookie, &origin, index ^ 1 << (flip % 32)));
            let mut elsewhere = origin.clone();
            elsewhere[flip % origin.len()] ^= 1;
            prop_assert!(!jar.verify(issued, issued, &cookie, &elsewhere, index));
            prop_assert!(!jar.verify(issued, issued, &cookie, &origin[1..], index));
            if let (Some(before), Some(after)) = (issued.checked_sub(1), issued.checked_add(1)) {
                // Neither presented before its time, nor with another time.
                prop_assert!(!jar.verify(before, issued, &cookie, &origin, index));
                prop_assert!(!jar.verify(after, after, &cookie, &origin, index));
            }
            let mut other = master;
            other[flip / 8] ^= 1;
            prop_assert!(!CookieJar::new(other.into()).verify(issued, issued, &cookie, &origin, index));
        }
    }
}
