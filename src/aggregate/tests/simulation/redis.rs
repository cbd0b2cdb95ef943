//! What the commit script and the group do, played by maps.

use std::collections::{BTreeMap, HashMap};

use super::super::super::{Footprint, Loaded, Needs, StoredAttributes, state};
use crate::history::{Inventory, Span, field_cost};
use crate::stream::commit::{Call, HashWrite, Verdict};
use crate::stream::{Entry, EntryId, Meta};

type Hash = HashMap<Vec<u8>, Vec<u8>>;
/// Fields and values of an entry.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// What the commit script and the group do, as far as an owner can tell.
#[derive(Default)]
pub(super) struct FakeRedis {
    pub meta: HashMap<String, String>,
    pub hashes: BTreeMap<&'static str, Hash>,
    pub blocks: BTreeMap<String, Hash>,
    pub entries: BTreeMap<EntryId, Pairs>,
    pub undelivered: BTreeMap<EntryId, ()>,
    pub pending: BTreeMap<EntryId, String>,
}

impl FakeRedis {
    fn entry(&self, id: EntryId) -> Entry {
        Entry::new(id, self.entries[&id].clone())
    }

    pub fn read(&mut self, fence: &str, count: usize) -> Vec<Entry> {
        let ids: Vec<EntryId> = self.undelivered.keys().copied().take(count).collect();
        for id in &ids {
            self.undelivered.remove(id);
            self.pending.insert(*id, fence.to_owned());
        }
        ids.into_iter().map(|id| self.entry(id)).collect()
    }

    pub fn claim(&mut self, fence: &str) -> Vec<Entry> {
        for owner in self.pending.values_mut() {
            fence.clone_into(owner);
        }
        self.pending.keys().map(|id| self.entry(*id)).collect()
    }

    pub fn hash(&self, name: &str, field: &[u8]) -> Option<Vec<u8>> {
        self.hashes.get(name)?.get(field).cloned()
    }

    pub fn meta(&self) -> Meta {
        let series = self.hashes.get("st").map_or(0, |states| states.len() as u64);
        Meta { series, ..Meta::parse(self.meta.clone()) }
    }

    pub fn inventory(&self) -> Inventory {
        let fields = self.hashes.get("hs").cloned().unwrap_or_default();
        Inventory::parse(fields)
    }

    pub fn load(&self, needs: &Needs) -> Loaded {
        let number = |number: &u64| number.to_string().into_bytes();
        let block = |(span, it): &(Span, u64)| {
            self.blocks.get(&span.to_string()).and_then(|hash| hash.get(&number(it))).cloned()
        };
        let state = |field: &[u8]| {
            self.hash("st", field).map(|packed| state::State::unpack_whole(&packed).unwrap())
        };
        let types = |sensor: &str| {
            String::from_utf8(self.hash("ix", sensor.as_bytes()).unwrap_or_default()).unwrap()
        };
        let attributes = |it: &u64| StoredAttributes {
            newest: self.hash("at", &number(it)),
            versions: self.hash("at", format!("{it}:v").as_bytes()),
        };
        let footprint = |(span, it): &(Span, u64)| {
            let own = |field: &[u8]| {
                let mut parts = field.splitn(2, |byte| *byte == b'.');
                parts.next() == Some(&number(it)[..])
            };
            let hash = self.blocks.get(&span.to_string()).cloned().unwrap_or_default();
            let fields: Vec<_> = hash.iter().filter(|(field, _)| own(field)).collect();
            Footprint {
                is_there: !fields.is_empty(),
                full: u32::try_from(fields.len().saturating_sub(1)).unwrap(),
                bytes: fields.iter().map(|(f, v)| field_cost(f.len(), v.len())).sum(),
            }
        };
        Loaded {
            states: needs.states.iter().map(|field| state(field)).collect(),
            types: needs.types.iter().map(|sensor| types(sensor)).collect(),
            attributes: needs.attributes.iter().map(attributes).collect(),
            blocks: needs.blocks.iter().map(block).collect(),
            footprints: needs.footprints.iter().map(footprint).collect(),
        }
    }

    pub fn commit(&mut self, fence: &str, call: &Call) -> Verdict {
        let held = |name: &str| self.meta.get(name).cloned().unwrap_or_default();
        if held("token") == call.token {
            return Verdict::Done;
        }
        if held("fence") != fence {
            return Verdict::Fenced;
        }
        if held("token") != call.before {
            return Verdict::Conflict;
        }
        let is_mine = self.pending.values().all(|owner| owner == fence);
        if self.pending.keys().next().copied() != call.oldest || !is_mine {
            return Verdict::Pending;
        }
        for span in &call.evict {
            self.blocks.remove(span);
        }
        for (span, write) in &call.blocks {
            apply(self.blocks.entry(span.clone()).or_default(), write);
        }
        let others = [
            ("hs", &call.inventory),
            ("at", &call.attributes),
            ("ix", &call.index),
            ("st", &call.states),
        ];
        for (name, write) in others {
            apply(self.hashes.entry(name).or_default(), write);
        }
        self.meta.insert("token".into(), call.token.clone());
        self.meta.extend(call.meta.iter().cloned());
        for id in &call.acknowledge {
            self.pending.remove(id);
        }
        Verdict::Written
    }
}

fn apply(hash: &mut Hash, write: &HashWrite) {
    for field in &write.drop {
        hash.remove(field);
    }
    hash.extend(write.set.iter().cloned());
}
