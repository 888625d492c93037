//! RC4, which NTLM uses for sealing and for wrapping keys; never anything else.
//! Ours because a security context is exported with its cipher's state, and put back to an earlier
//! one: the `rc4` crate neither shows its state nor goes back.
#![forbid(unsafe_code)]

use zeroize::Zeroize;

/// A cipher, somewhere in its key stream.
pub(super) struct Rc4 {
    table: [u8; 256],
    i: u8,
    j: u8,
}

impl Rc4 {
    /// The octets of [`Self::to_octets`].
    pub(super) const OCTETS: usize = 258;

    /// Start a key stream. NTLM's keys have 16 octets.
    #[expect(
        clippy::indexing_slicing,
        reason = "a table of 256, indexed by an octet"
    )]
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let mut table = IDENTITY;
        let mut j = 0_u8;
        for i in 0..256 {
            j = j.wrapping_add(table[i]).wrapping_add(key[i % 16]);
            table.swap(i, usize::from(j));
        }
        Self { table, i: 0, j: 0 }
    }

    /// Encrypt or decrypt in place, which is the same, and move on.
    #[expect(
        clippy::indexing_slicing,
        reason = "a table of 256, indexed by an octet"
    )]
    pub(super) fn apply(&mut self, data: &mut [u8]) {
        let (mut i, mut j) = (self.i, self.j);
        let table = &mut self.table;
        for octet in data {
            i = i.wrapping_add(1);
            let at_i = table[usize::from(i)];
            j = j.wrapping_add(at_i);
            let at_j = table[usize::from(j)];
            table[usize::from(i)] = at_j;
            table[usize::from(j)] = at_i;
            *octet ^= table[usize::from(at_i.wrapping_add(at_j))];
        }
        (self.i, self.j) = (i, j);
    }

    /// Go back by so many octets of key stream, to where it was before them.
    #[expect(
        clippy::indexing_slicing,
        reason = "a table of 256, indexed by an octet"
    )]
    pub(super) fn rewind(&mut self, octets: usize) {
        for _ in 0..octets {
            self.table.swap(usize::from(self.i), usize::from(self.j));
            self.j = self.j.wrapping_sub(self.table[usize::from(self.i)]);
            self.i = self.i.wrapping_sub(1);
        }
    }

    /// The state, as secret as the key.
    pub(super) fn to_octets(&self) -> impl Iterator<Item = u8> {
        self.table.into_iter().chain([self.i, self.j])
    }

    /// Take the state back; `None` when it is not the state of a cipher.
    pub(super) fn from_octets(octets: &[u8; Self::OCTETS]) -> Option<Self> {
        let (table, rest) = octets.split_first_chunk::<256>()?;
        let &[i, j] = rest else { return None };
        let mut sorted = *table;
        sorted.sort_unstable();
        (sorted == IDENTITY).then_some(Self {
            table: *table,
            i,
            j,
        })
    }
}

/// The table before it is keyed.
const IDENTITY: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0_u8;
    while at < u8::MAX {
        at += 1;
        #[expect(
            clippy::indexing_slicing,
            clippy::as_conversions,
            reason = "evaluated when the library is compiled"
        )]
        {
            table[at as usize] = at;
        }
    }
    table
};

impl Drop for Rc4 {
    fn drop(&mut self) {
        self.table.zeroize();
        self.i.zeroize();
        self.j.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6229 section 2, the 128-bit key 0102..10: the key stream at 0 and at 4096.
    #[test]
    fn key_stream_is_the_one_of_rfc_6229() {
        let key = std::array::from_fn(|at| u8::try_from(at + 1).unwrap());
        let mut stream = vec![0; 4112];
        Rc4::new(&key).apply(&mut stream);
        let at_0 = 0x9ac7_cc9a_609d_1ef7_b293_2899_cde4_1b97_u128;
        let at_4096 = 0xa36a_4c30_1ae8_ac13_610c_cbc1_2256_cacc_u128;
        assert_eq!(stream[..16], at_0.to_be_bytes());
        assert_eq!(stream[4096..], at_4096.to_be_bytes());
    }

    #[test]
    fn a_stored_state_goes_on_where_it_was() {
        let mut cipher = Rc4::new(&[7; 16]);
        cipher.apply(&mut [0; 1000]);
        let stored: Vec<u8> = cipher.to_octets().collect();
        let mut again = Rc4::from_octets(stored.as_slice().try_into().unwrap()).unwrap();
        let (mut a, mut b) = ([0; 50], [0; 50]);
        cipher.apply(&mut a);
        again.apply(&mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn going_back_gives_the_same_key_stream_again() {
        let mut cipher = Rc4::new(&[7; 16]);
        cipher.apply(&mut [0; 700]);
        let (mut a, mut b) = ([0; 600], [0; 600]);
        cipher.apply(&mut a);
        cipher.rewind(600);
        cipher.apply(&mut b);
        assert_eq!(a, b);
        cipher.rewind(1300);
        assert!(cipher.to_octets().eq(Rc4::new(&[7; 16]).to_octets()));
    }

    #[test]
    fn a_state_that_no_key_leads_to_is_refused() {
        assert!(Rc4::from_octets(&[0; Rc4::OCTETS]).is_none());
    }
}
