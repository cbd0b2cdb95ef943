//! Loading what a fold needs, in few round trips.

use std::collections::BTreeMap;

use super::needs::{Footprint, Loaded, Needs, StoredAttributes};
use super::state::State;
use super::task::Trouble;
use crate::history::codec::readings;
use crate::history::{Share, Span, field_cost};
use crate::stream::{Error, Ledger};

/// A field of a hash.
type Field = Box<[u8]>;

/// Loads everything.
pub(super) async fn load(ledger: &mut Ledger, needs: &Needs) -> Result<Loaded, Trouble> {
    let keys = ledger.keys();
    let types = needs.types.iter().map(|it| it.as_bytes().into()).collect();
    let both = |number: &u64| [number.to_string(), format!("{number}:v")];
    let attributes = needs.attributes.iter().flat_map(both);
    let attributes = attributes.map(|field| field.into_bytes().into()).collect();
    let asked: [(String, Vec<Field>); 3] = [
        (keys.states.clone(), needs.states.clone()),
        (keys.index.clone(), types),
        (keys.attributes.clone(), attributes),
    ];
    let mut found = ledger.fields(&asked).await?.into_iter();
    let mut next = || found.next().unwrap_or_default().into_iter();
    let unpack = |packed: Option<Vec<u8>>| packed.map(|it| State::unpack_whole(&it)).transpose();
    let states = next().map(unpack).collect::<Result<_, _>>()?;
    // Types came out of JSON, so that they are UTF-8.
    let text = |types: Option<Vec<u8>>| String::from_utf8(types.unwrap_or_default());
    let types = next().map(|types| text(types).unwrap_or_default()).collect();
    let mut attributes = next();
    let pairs = std::iter::from_fn(|| {
        let newest = attributes.next()?;
        Some(StoredAttributes { newest, versions: attributes.next().flatten() })
    });
    let attributes = pairs.collect();
    let blocks = blocks(ledger, &needs.blocks).await?;
    let footprints = footprints(ledger, &needs.footprints).await?;
    Ok(Loaded { states, types, attributes, blocks, footprints })
}

/// Newest blocks, in the order in which they are asked for.
async fn blocks(
    ledger: &mut Ledger,
    wanted: &[(Span, u64)],
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let mut by_span: BTreeMap<Span, Vec<u64>> = BTreeMap::new();
    for (span, number) in wanted {
        by_span.entry(*span).or_default().push(*number);
    }
    let keys = ledger.keys();
    let asked = by_span.iter().map(|(span, numbers)| (keys.history(span), numbers.clone()));
    let asked: Vec<(String, Vec<u64>)> = asked.collect();
    let found = ledger.fields(&asked).await?.into_iter().map(Vec::into_iter);
    let mut found: BTreeMap<_, _> = by_span.into_keys().zip(found).collect();
    let next = |(span, _): &(Span, u64)| found.get_mut(span).and_then(Iterator::next).flatten();
    Ok(wanted.iter().map(next).collect())
}

/// What the blocks of series take that are to be removed.
async fn footprints(ledger: &mut Ledger, wanted: &[(Span, u64)]) -> Result<Vec<Footprint>, Error> {
    let mut footprints = Vec::with_capacity(wanted.len());
    let (mut full_ones, mut places) = (Vec::new(), Vec::new());
    let newest = blocks(ledger, wanted).await?;
    for ((span, number), newest) in wanted.iter().zip(newest) {
        let (key, field) = (ledger.keys().history(span), number.to_string());
        let full = newest.as_deref().and_then(|bytes| full_blocks(*span, bytes)).unwrap_or(0);
        for full in 0..full {
            full_ones.push((key.clone(), format!("{field}.{full}")));
            places.push(footprints.len());
        }
        let bytes = newest.as_ref().map_or(0, |bytes| field_cost(field.len(), bytes.len()));
        footprints.push(Footprint { is_there: newest.is_some(), full, bytes });
    }
    let lengths = ledger.lengths(&full_ones).await?;
    for ((place, (_, field)), length) in places.into_iter().zip(&full_ones).zip(lengths) {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        footprints[place].bytes += field_cost(field.len(), length);
    }
    Ok(footprints)
}

/// How many full blocks stand before a newest one; windows have none. One that is damaged may say
/// anything, so that nothing is looked for: what there is goes with its span.
fn full_blocks(span: Span, newest: &[u8]) -> Option<u32> {
    match span.shelf.share() {
        Share::Readings => readings::decode(newest, &mut Vec::new()).ok(),
        Share::Minutes | Share::Hours => None,
    }
}
