//! All ways through a tree of choices, one after the other, with at most so many that are not the first.

/// The choices of one way.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    made: Vec<Choice>,
    at: usize,
    /// How many may differ from 0.
    most: usize,
    /// How many of those up to `at` do.
    spent: usize,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    taken: usize,
    of: usize,
}

impl Choices {
    /// The first way, which has nothing but first choices; then [`Self::next`] leads to ways with
    /// exactly `most` others.
    pub(crate) fn with(most: usize) -> Self {
        Self {
            made: Vec::new(),
            at: 0,
            most,
            spent: 0,
        }
    }

    pub(crate) fn honest() -> Self {
        Self::with(0)
    }

    /// Choose one of 0 to `others`, once [`Self::rewind`] or [`Self::next`] has been called.
    pub(crate) fn choose(&mut self, others: usize) -> Option<usize> {
        if self.spent == self.most {
            return Some(0);
        }
        if self.at == self.made.len() {
            self.made.push(Choice {
                taken: 0,
                of: others,
            });
        }
        let Choice { taken, .. } = *self.made.get(self.at)?;
        self.at += 1;
        self.spent += usize::from(taken != 0);
        Some(taken)
    }

    /// Begin the same way anew.
    pub(crate) fn rewind(&mut self) {
        self.at = 0;
        self.spent = 0;
    }

    /// Turn to the next way; whether there is one.
    pub(crate) fn next(&mut self) -> bool {
        // What lies behind the last choice that was asked for is another way's.
        self.made.truncate(self.at);
        while let Some(last) = self.made.last_mut() {
            if last.taken < last.of {
                last.taken += 1;
                self.rewind();
                return true;
            }
            self.made.pop();
        }
        false
    }

    /// How many steps this way has in common with the last one: as many as choices that were not changed,
    /// and the first, before which there is none.
    pub(crate) fn common_with_last(&self) -> usize {
        self.made.len()
    }

    /// Whether all that may be spent is: a way with less was seen before.
    pub(crate) fn is_spent(&self) -> bool {
        self.spent == self.most
    }
}

#[test]
fn every_way_is_gone_once() {
    let mut choices = Choices::with(2);
    let mut ways = Vec::new();
    loop {
        let way: Vec<_> = (0..3).map(|_| choices.choose(2).unwrap()).collect();
        if choices.is_spent() {
            ways.push(way);
        }
        if !choices.next() {
            break;
        }
    }
    // Two of three places, each with one of two.
    assert_eq!(ways.len(), 12);
    ways.dedup();
    assert_eq!(ways.len(), 12);
}
