//! One JSON object as one reading.

use std::borrow::Cow;

use simd_json::{Node, StaticNode};

use crate::payload::decoder::Input;
use crate::payload::meaning::{self, Measured, SENSOR_LEVEL, TYPE_LEVEL};
use crate::payload::naive_time::Zone;
use crate::payload::timestamp;
use crate::reading::{LOCATION_BYTES_MAX, METADATA_BYTES_MAX, Reading, UNIT_BYTES_MAX, UnixMillis};
use crate::refusal::Refusal;

use super::document::{Document, Shape};

/// Where on the tape the fields stand that mean something. Null is absent, of two equal keys the
/// last counts, other keys are ignored.
#[derive(Clone, Copy, Default)]
struct Fields {
    sensor_id: Option<usize>,
    sensor_type: Option<usize>,
    value: Option<usize>,
    unit: Option<usize>,
    timestamp: Option<usize>,
    location: Option<usize>,
    metadata: Option<usize>,
}

/// The reading that the node `object` describes, and whether its timestamp looks like a zone
/// error. Value, id, type and timestamp are looked at in this order: the first fault is the
/// reason.
pub(super) fn read<'d>(
    document: &Document<'d>,
    object: usize,
    input: &Input<'d>,
    zone: &Zone,
) -> Result<(Reading<'d>, bool), Refusal> {
    if document.shape(object) != Shape::Object {
        return Err(Refusal::WrongType);
    }
    let fields = fields(document, object);
    let value = value(document, fields.value)?;
    let sensor_id = id(document, fields.sensor_id, input.topic, SENSOR_LEVEL)?;
    let sensor_type = id(document, fields.sensor_type, input.topic, TYPE_LEVEL)?;
    let timestamp = timestamp(document, fields.timestamp, zone)?;
    let measured = Measured::new(timestamp, input.received_at);
    let mut left_out = 0;
    let unit = text(document, fields.unit, UNIT_BYTES_MAX, &mut left_out);
    let location = text(document, fields.location, LOCATION_BYTES_MAX, &mut left_out);
    let metadata = metadata(document, fields.metadata, &mut left_out);
    let reading = Reading {
        sensor_id,
        sensor_type,
        value,
        measured_at: measured.at,
        time_source: measured.source,
        unit: unit.unwrap_or_default(),
        location,
        metadata,
        attributes_left_out: left_out,
    };
    Ok((reading, measured.zone_suspected))
}

fn fields(document: &Document<'_>, object: usize) -> Fields {
    let mut fields = Fields::default();
    for (key, value) in document.members(object) {
        let field = match key {
            "sensor_id" => &mut fields.sensor_id,
            "type" => &mut fields.sensor_type,
            "value" => &mut fields.value,
            "unit" => &mut fields.unit,
            "timestamp" => &mut fields.timestamp,
            "location" => &mut fields.location,
            "metadata" => &mut fields.metadata,
            _ => continue,
        };
        let is_null = matches!(document.node(value), Node::Static(StaticNode::Null));
        *field = (!is_null).then_some(value);
    }
    fields
}

/// A number, a number as text, or a boolean (1 and 0).
fn value(document: &Document<'_>, field: Option<usize>) -> Result<f64, Refusal> {
    let at = field.ok_or(Refusal::MissingValue)?;
    match document.node(at) {
        Node::Static(StaticNode::F64(number)) => meaning::finite(number),
        Node::Static(StaticNode::I64(number)) => Ok(number as f64),
        Node::Static(StaticNode::U64(number)) => Ok(number as f64),
        Node::Static(StaticNode::Bool(is_on)) => Ok(f64::from(u8::from(is_on))),
        Node::Static(StaticNode::Null) => Err(Refusal::MissingValue),
        Node::String(text) => meaning::number(text),
        Node::Object { .. } | Node::Array { .. } => Err(Refusal::WrongType),
    }
}

/// A text, or a number as it was written.
fn id<'d>(
    document: &Document<'d>,
    field: Option<usize>,
    topic: &'d str,
    level: usize,
) -> Result<Cow<'d, str>, Refusal> {
    let named = match field.map(|at| (at, document.node(at))) {
        None | Some((_, Node::Static(StaticNode::Null))) => None,
        Some((_, Node::String(text))) => Some(text),
        Some((at, Node::Static(StaticNode::I64(_) | StaticNode::U64(_) | StaticNode::F64(_)))) => {
            Some(document.scalar_text(at))
        }
        Some((_, Node::Static(StaticNode::Bool(_)) | Node::Object { .. } | Node::Array { .. })) => {
            return Err(Refusal::WrongType);
        }
    };
    meaning::id(named, topic, level)
}

/// Absent when it is missing, null or blank.
fn timestamp(
    document: &Document<'_>,
    field: Option<usize>,
    zone: &Zone,
) -> Result<Option<UnixMillis>, Refusal> {
    let Some(at) = field else {
        return Ok(None);
    };
    let read = match document.node(at) {
        Node::Static(StaticNode::Null) => return Ok(None),
        Node::String(text) if text.trim_ascii().is_empty() => return Ok(None),
        Node::String(text) => timestamp::from_text(text, zone),
        Node::Static(StaticNode::I64(number)) => timestamp::from_whole(i128::from(number)),
        Node::Static(StaticNode::U64(number)) => timestamp::from_whole(i128::from(number)),
        Node::Static(StaticNode::F64(number)) => timestamp::from_fraction(number),
        Node::Static(StaticNode::Bool(_)) | Node::Object { .. } | Node::Array { .. } => None,
    };
    read.map(Some).ok_or(Refusal::BadTimestamp)
}

/// A unit or location: left out, and counted, when it is no text or too long.
fn text<'d>(
    document: &Document<'d>,
    field: Option<usize>,
    bytes_max: usize,
    left_out: &mut u8,
) -> Option<Cow<'d, str>> {
    match document.node(field?) {
        Node::String(text) if text.len() <= bytes_max => Some(Cow::Borrowed(text)),
        Node::String(_) | Node::Static(_) | Node::Object { .. } | Node::Array { .. } => {
            *left_out += 1;
            None
        }
    }
}

/// The metadata as compact JSON text: left out, and counted, when they are no object or too long.
fn metadata<'d>(document: &Document<'d>, field: Option<usize>, left_out: &mut u8) -> Cow<'d, str> {
    const NONE: Cow<'_, str> = Cow::Borrowed("{}");
    let Some(at) = field else {
        return NONE;
    };
    let text = match document.shape(at) {
        Shape::Object => document.compact_text(at),
        Shape::Array { .. } | Shape::Scalar => None,
    };
    text.filter(|text| text.len() <= METADATA_BYTES_MAX).unwrap_or_else(|| {
        *left_out += 1;
        NONE
    })
}
