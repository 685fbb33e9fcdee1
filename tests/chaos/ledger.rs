//! What was said, what was acknowledged, what each reader heard and when; and what of all that does
//! not agree with history.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after healing a live reader may lack something.
const HEALED_WITHIN: Duration = Duration::from_secs(2);

/// Everything that happened in one round. Texts are unique in it.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    said: HashMap<String, Said>,
    /// The newest acknowledgement of each writer.
    served: HashMap<String, Instant>,
    listenings: Vec<Listening>,
}

struct Said {
    at: Instant,
    acknowledged: Option<Instant>,
}

/// One connection of a reader, from when it has entered until it ends.
struct Listening {
    reader: String,
    since: Instant,
    /// What it read when it entered; `None` where its dialect cannot read.
    read: Option<Vec<String>>,
    heard: Vec<(String, Instant)>,
    live: bool,
}

/// A connection of a reader in the ledger.
#[derive(Clone, Copy)]
pub(crate) struct ListeningId(usize);

/// What a round, or several, showed.
#[derive(Default, Clone)]
pub(crate) struct Findings {
    pub(crate) acknowledged: usize,
    pub(crate) missing: usize,
    pub(crate) twice: usize,
    pub(crate) inversions: usize,
    pub(crate) gaps: usize,
    /// From healing until every writer was served again and every live reader had heard what was
    /// acknowledged before.
    pub(crate) healed: Duration,
    /// In words, for people.
    pub(crate) violations: Vec<String>,
}

impl Ledger {
    /// A writer is about to say this.
    pub(crate) fn say(&self, text: &str) {
        self.pages()
            .said
            .entry(text.to_owned())
            .or_insert_with(|| Said { at: Instant::now(), acknowledged: None });
    }

    /// A writer was told that this is stored.
    pub(crate) fn acknowledge(&self, writer: &str, text: &str) {
        let now = Instant::now();
        let mut pages = self.pages();
        if let Some(said) = pages.said.get_mut(text) {
            said.acknowledged.get_or_insert(now);
        }
        pages.served.insert(writer.to_owned(), now);
    }

    /// A reader has entered over a new connection, and read this if its dialect can.
    pub(crate) fn enter(&self, reader: &str, read: Option<Vec<String>>) -> ListeningId {
        let mut pages = self.pages();
        let since = Instant::now();
        pages.listenings.push(Listening {
            reader: reader.to_owned(),
            since,
            read,
            heard: Vec::new(),
            live: true,
        });
        ListeningId(pages.listenings.len() - 1)
    }

    /// It was told this.
    pub(crate) fn hear(&self, ListeningId(number): ListeningId, text: String) {
        self.pages().listenings[number].heard.push((text, Instant::now()));
    }

    /// The connection is over.
    pub(crate) fn leave(&self, ListeningId(number): ListeningId) {
        self.pages().listenings[number].live = false;
    }

    /// How many writers were served since then.
    pub(crate) fn served_since(&self, moment: Instant) -> usize {
        self.pages().served.values().filter(|served| **served >= moment).count()
    }

    /// How many readers are connected.
    pub(crate) fn connected(&self) -> usize {
        self.pages().readers(|listening| listening.live)
    }

    /// How many readers are connected and were told something.
    pub(crate) fn hearing(&self) -> usize {
        self.pages().readers(|listening| listening.live && !listening.heard.is_empty())
    }

    /// Who of those that are connected still lacks something that was acknowledged, and how much.
    pub(crate) fn behind(&self) -> BTreeMap<String, usize> {
        let pages = self.pages();
        let live = pages.listenings.iter().filter(|listening| listening.live);
        let lacking = live.map(|listening| {
            (listening.reader.clone(), pages.lacks(listening, Instant::now()).count())
        });
        lacking.filter(|(_, lacks)| *lacks > 0).collect()
    }

    /// Judges the round by what each dialect says was said, `histories` by who read them. The
    /// trouble was over at `healed`.
    pub(crate) fn judge(&self, histories: &[(String, Vec<String>)], healed: Instant) -> Findings {
        let pages = self.pages();
        let mut findings =
            Findings { healed: pages.slowest_service(healed), ..Findings::default() };
        let Some((first, whole)) = histories.first() else {
            findings.violations.push("nobody could read the history".to_owned());
            return findings;
        };
        let mut places: HashMap<&str, usize> = HashMap::new();
        for (place, text) in whole.iter().enumerate() {
            if let Some(before) = places.insert(text, place) {
                findings.twice += 1;
                findings.violations.push(format!(
                    "{text:?} is stored twice, {before} and {place} in the history of {first}"
                ));
            }
        }
        for (reader, history) in &histories[1..] {
            if history != whole {
                let place =
                    history.iter().zip(whole).take_while(|(one, other)| one == other).count();
                findings.inversions += 1;
                findings.violations.push(format!(
                    "{reader} reads {} messages and {first} {}; they differ at {place}: {:?} and \
                        {:?}",
                    history.len(),
                    whole.len(),
                    history.get(place),
                    whole.get(place)
                ));
            }
        }
        for (text, _) in pages.said.iter().filter(|(_, said)| said.acknowledged.is_some()) {
            findings.acknowledged += 1;
            if !places.contains_key(text.as_str()) {
                findings.missing += 1;
                findings.violations.push(format!(
                    "{text:?} was acknowledged and is not in the history of {first}"
                ));
            }
        }
        for listening in &pages.listenings {
            pages.judge_listening(listening, &places, whole, healed, &mut findings);
        }
        findings
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn readers(&self, counts: impl Fn(&Listening) -> bool) -> usize {
        let counted = self.listenings.iter().filter(|listening| counts(listening));
        counted.map(|listening| &listening.reader).collect::<BTreeSet<_>>().len()
    }

    /// How long after this moment the last writer was served for the first time is not kept: the
    /// acknowledgements tell.
    fn slowest_service(&self, healed: Instant) -> Duration {
        let mut first: HashMap<&str, Instant> = HashMap::new();
        for (text, said) in &self.said {
            if let Some(at) = said.acknowledged.filter(|at| *at >= healed) {
                let writer = text.split(' ').next().unwrap_or_default();
                first.entry(writer).and_modify(|first| *first = at.min(*first)).or_insert(at);
            }
        }
        first.into_values().map(|at| at - healed).max().unwrap_or_default()
    }

    /// What was acknowledged before `until` and a listening reader should have heard, and has not.
    fn lacks<'a>(
        &'a self,
        listening: &'a Listening,
        until: Instant,
    ) -> impl Iterator<Item = &'a str> {
        let known: BTreeSet<&str> = listening
            .heard
            .iter()
            .map(|(text, _)| text)
            .chain(listening.read.iter().flatten())
            .map(String::as_str)
            .collect();
        self.said.iter().filter_map(move |(text, said)| {
            let acknowledged = said.acknowledged.is_some_and(|at| at < until);
            // Who cannot read need not know what was said before it came.
            let concerned = listening.read.is_some() || said.at > listening.since;
            (acknowledged && concerned && !known.contains(text.as_str())).then_some(text.as_str())
        })
    }

    fn judge_listening(
        &self,
        listening: &Listening,
        places: &HashMap<&str, usize>,
        whole: &[String],
        healed: Instant,
        findings: &mut Findings,
    ) {
        let who = &listening.reader;
        let mut heard = Vec::new();
        for (text, _) in &listening.heard {
            match places.get(text.as_str()) {
                Some(place) => heard.push(*place),
                None => {
                    findings.missing += 1;
                    findings
                        .violations
                        .push(format!("{who} heard {text:?}, which is not in the history"));
                }
            }
        }
        for pair in heard.windows(2).filter(|pair| pair[0] >= pair[1]) {
            findings.inversions += 1;
            findings
                .violations
                .push(format!("{who} heard {:?} before {:?}", whole[pair[0]], whole[pair[1]]));
        }
        // Without a hole from where it came in, to the end if it still listens.
        let read = listening.read.as_ref().map(|read| {
            read.iter()
                .filter_map(|text| places.get(text.as_str()))
                .max()
                .map_or(0, |last| last + 1)
        });
        let known: BTreeSet<usize> = heard.iter().copied().collect();
        let begin = read.or(known.first().copied());
        let end =
            if listening.live { Some(whole.len()) } else { known.last().map(|last| last + 1) };
        for place in begin
            .zip(end)
            .map_or(0..0, |(begin, end)| begin..end)
            .filter(|place| !known.contains(place))
        {
            findings.gaps += 1;
            findings.violations.push(format!(
                "{who} never heard {:?}, at {place} of {}",
                whole[place],
                whole.len()
            ));
        }
        if !listening.live || listening.since > healed {
            return;
        }
        // Live all the time: what was acknowledged before the healing comes soon after it.
        let before = |text: &str| {
            self.said.get(text).and_then(|said| said.acknowledged).is_some_and(|at| at < healed)
        };
        for (text, at) in listening.heard.iter().filter(|(text, _)| before(text)) {
            let after = at.saturating_duration_since(healed);
            findings.healed = findings.healed.max(after);
            if after > HEALED_WITHIN {
                findings.gaps += 1;
                findings.violations.push(format!(
                    "{who} heard {text:?} only {:.1} s after healing",
                    after.as_secs_f64()
                ));
            }
        }
    }
}

impl Findings {
    /// Adds those of another round.
    pub(crate) fn add(&mut self, other: Findings) {
        self.acknowledged += other.acknowledged;
        self.missing += other.missing;
        self.twice += other.twice;
        self.inversions += other.inversions;
        self.gaps += other.gaps;
        self.healed = self.healed.max(other.healed);
        self.violations.extend(other.violations);
    }
}
