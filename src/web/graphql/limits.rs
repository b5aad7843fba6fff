//! Bounds of a document, checked before it is validated and run.
//!
//! Length is checked before the document is read; depth, tokens and fields (with fragments expanded) by juniper while it
//! reads it. What is left is measured here on the syntax tree: root fields, aliases, directives and cost. A fragment is
//! measured once, however often it is spread, so that measuring takes no longer than the document is long.
//!
//! The cost of a document is about the number of objects that its answer may hold. A scalar costs nothing, an object 1. A
//! field with a size (`first`, `count`) multiplies what is selected below it by that size; a list without one counts as what
//! [`LISTS`] says, or as [`UNSIZED_ROOT`] or [`UNSIZED`] entries. A mutation costs [`MUTATION`] more, and what reads objects
//! what [`WEIGHTS`] says.

use super::refusal::Refusal;
use crate::actors::resolver::MOST_EVENTS;
use crate::config::GraphqlConfig;
use juniper::meta::{Field as FieldMeta, MetaType};
use juniper::{DefaultScalarValue, Definition, Document, InputValue, OperationType, SchemaType, Selection, Variables};
use std::collections::HashMap;

/// Entries that lists at the root count as that have no size and may be long. Of those of patients, which hold up to 10,000,
/// the usual budget bears four in one document.
const LISTS: [(&str, u64); 4] = [
    ("getAllPatients", 5_000),
    ("getPatientsForCareprovider", 5_000),
    ("getScoreAverages", 1_000),
    ("listModels", 200),
];
/// Entries that another list of objects without a size counts as, at the root of a document.
const UNSIZED_ROOT: u64 = 100;
/// Entries that such a list counts as below the root.
const UNSIZED: u64 = 10;
/// What a mutation costs beside its answer.
const MUTATION: u64 = 10;
/// What fields that read objects cost beside their answer. An axis has up to 500,000 samples: the usual budget bears the nine
/// axes of a recording and little else.
const WEIGHTS: [(&str, u64); 3] =
    [("downloadTestEventDetails", 500), ("getMeasurementData", 2_000), ("getMeasurementRange", 100)];
/// What asking for the schema costs: what it selects below is bounded by the schema.
const INTROSPECTION: u64 = 100;
/// Arguments that say how large a list is, with what they are where they are absent.
const SIZES: [(&str, u64); 2] = [("first", 50), ("count", MOST_EVENTS as u64)];
/// The field of a page that holds its entries: the page's size is theirs.
const ENTRIES: &str = "nodes";

type Values = Variables<DefaultScalarValue>;

/// What a document asks for, with its fragments expanded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measure {
    /// Fields at the root.
    pub(super) root_fields: u64,
    /// Fields that have another name in the answer.
    pub(super) aliases: u64,
    /// Directives.
    pub(super) directives: u64,
    /// About how many objects the answer may hold.
    pub(super) cost: u64,
    /// Whether the schema itself is asked for.
    introspects: bool,
}

impl Measure {
    /// Of two parts of a document, or of two documents of a batch.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            root_fields: self.root_fields.saturating_add(other.root_fields),
            aliases: self.aliases.saturating_add(other.aliases),
            directives: self.directives.saturating_add(other.directives),
            cost: self.cost.saturating_add(other.cost),
            introspects: self.introspects || other.introspects,
        }
    }

    /// Says which bound it goes over.
    pub(super) fn check(&self, bounds: &GraphqlConfig) -> Result<(), Refusal> {
        if self.introspects && !bounds.introspection {
            return Err(Refusal::new("introspection_disabled", "the schema cannot be asked for on this server"));
        }
        for (found, most, code, what) in [
            (self.root_fields, bounds.max_root_fields, "too_many_root_fields", "root fields"),
            (self.aliases, bounds.max_aliases, "too_many_aliases", "aliases"),
            (self.directives, bounds.max_directives, "too_many_directives", "directives"),
        ] {
            if found > most {
                return Err(Refusal::new(code, format!("it has {found} {what}, and at most {most} are allowed")));
            }
        }
        if self.cost > bounds.max_cost {
            let (cost, most) = (self.cost, bounds.max_cost);
            let text = format!("it costs {cost} and at most {most} is allowed: ask for fewer or smaller lists");
            return Err(Refusal::new("too_costly", text));
        }
        Ok(())
    }
}

/// Refuses a document that is too long to be read.
pub(super) fn check_length(document: &str, bounds: &GraphqlConfig) -> Result<(), Refusal> {
    if document.len() > bounds.max_document_bytes {
        let most = bounds.max_document_bytes;
        return Err(Refusal::new("document_too_long", format!("it has more than {most} bytes")));
    }
    Ok(())
}

/// Measures the operation of that name, or the only one; nothing where there is none, which is refused later.
///
/// # Errors
/// When a fragment spreads itself.
pub(super) fn measure(
    document: &Document<'_, DefaultScalarValue>,
    schema: &SchemaType<DefaultScalarValue>,
    operation_name: Option<&str>,
    values: &Values,
) -> Result<Measure, Refusal> {
    let mut fragments = HashMap::new();
    let mut chosen = None;
    for definition in document {
        match definition {
            Definition::Fragment(fragment) => {
                let fragment = &fragment.item;
                fragments.insert(
                    fragment.name.item,
                    Fragment {
                        on: fragment.type_condition.item,
                        selections: &fragment.selection_set,
                        state: State::New,
                    },
                );
            }
            Definition::Operation(operation) => {
                let name = operation.item.name.as_ref().map(|name| name.item);
                if operation_name.is_none() || name == operation_name {
                    chosen = Some(&operation.item);
                }
            }
        }
    }
    let Some(operation) = chosen else { return Ok(Measure::default()) };
    let mut known = values.clone();
    for (name, definition) in operation.variables_definition.iter().flat_map(|all| all.item.iter()) {
        if let (false, Some(default)) = (known.contains_key(name.item), &definition.default_value) {
            known.insert(name.item.to_owned(), default.item.clone());
        }
    }
    let (root, extra) = match operation.operation_type {
        OperationType::Query => (Some(schema.concrete_query_type()), 0),
        OperationType::Mutation => (schema.concrete_mutation_type(), MUTATION),
        OperationType::Subscription => (schema.concrete_subscription_type(), 0),
    };
    let mut measuring =
        Measuring { schema, values: &known, fragments, root: root.and_then(MetaType::name).map(|n| n.as_str()) };
    let mut measured = measuring.selections(&operation.selection_set, root)?;
    measured.cost = measured.cost.saturating_add(measured.root_fields.saturating_mul(extra));
    measured.directives = measured.directives.saturating_add(length(operation.directives.as_deref()));
    Ok(measured)
}

struct Fragment<'d, 'a> {
    on: &'a str,
    selections: &'d [Selection<'a, DefaultScalarValue>],
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    Measured(Measure),
}

struct Measuring<'d, 'a> {
    schema: &'d SchemaType<DefaultScalarValue>,
    values: &'d Values,
    fragments: HashMap<&'a str, Fragment<'d, 'a>>,
    /// The name of the type at the root.
    root: Option<&'d str>,
}

impl<'d, 'a> Measuring<'d, 'a> {
    fn selections(
        &mut self,
        selections: &'d [Selection<'a, DefaultScalarValue>],
        on: Option<&'d MetaType<DefaultScalarValue>>,
    ) -> Result<Measure, Refusal> {
        selections.iter().try_fold(Measure::default(), |sum, selection| Ok(sum.and(self.selection(selection, on)?)))
    }

    fn selection(
        &mut self,
        selection: &'d Selection<'a, DefaultScalarValue>,
        on: Option<&'d MetaType<DefaultScalarValue>>,
    ) -> Result<Measure, Refusal> {
        let directives = match selection {
            Selection::Field(field) => field.item.directives.as_deref(),
            Selection::FragmentSpread(spread) => spread.item.directives.as_deref(),
            Selection::InlineFragment(fragment) => fragment.item.directives.as_deref(),
        };
        let left_out = directives.into_iter().flatten().any(|directive| {
            let directive = &directive.item;
            let arguments = directive.arguments.iter().flat_map(|arguments| arguments.item.items.iter());
            let mut conditions =
                arguments.filter(|(name, _)| name.item == "if").map(|(_, value)| self.flag(&value.item));
            match directive.name.item {
                "skip" => conditions.next() == Some(Some(true)),
                "include" => conditions.next() == Some(Some(false)),
                _ => false,
            }
        });
        let mut measured = Measure { directives: length(directives), ..Measure::default() };
        if left_out {
            return Ok(measured);
        }
        measured = measured.and(match selection {
            Selection::FragmentSpread(spread) => self.fragment(spread.item.name.item)?,
            Selection::InlineFragment(fragment) => {
                let on = match &fragment.item.type_condition {
                    Some(name) => self.schema.concrete_type_by_name(name.item),
                    None => on,
                };
                self.selections(&fragment.item.selection_set, on)?
            }
            Selection::Field(field) => {
                let field = &field.item;
                let at_root = on.and_then(MetaType::name).map(|name| name.as_str()) == self.root;
                let meta = on.and_then(|on| on.field_by_name(field.name.item));
                let answer = meta.and_then(|meta| self.schema.concrete_type_by_name(meta.field_type.innermost_name()));
                let below = self.selections(field.selection_set.as_deref().unwrap_or_default(), answer)?;
                let given = field.arguments.iter().flat_map(|arguments| arguments.item.items.iter());
                let size = meta.and_then(|meta| {
                    let (name, usual) =
                        *SIZES.iter().find(|(name, _)| meta.arguments.iter().flatten().any(|a| a.name == *name))?;
                    let given = given.into_iter().find(|(argument, _)| argument.item == name);
                    Some(given.and_then(|(_, value)| self.number(&value.item)).unwrap_or(usual))
                });
                Measure {
                    root_fields: u64::from(at_root),
                    aliases: below.aliases.saturating_add(u64::from(field.alias.is_some())),
                    directives: below.directives,
                    cost: cost(field.name.item, meta, answer, size, at_root, below.cost),
                    introspects: below.introspects || (at_root && matches!(field.name.item, "__schema" | "__type")),
                }
            }
        });
        Ok(measured)
    }

    fn fragment(&mut self, name: &'a str) -> Result<Measure, Refusal> {
        // One that is not there is refused when the document is validated.
        let Some(fragment) = self.fragments.get_mut(name) else { return Ok(Measure::default()) };
        match fragment.state {
            State::Measured(measured) => return Ok(measured),
            State::Open => return Err(Refusal::new("fragment_cycle", "a fragment spreads itself")),
            State::New => fragment.state = State::Open,
        }
        let (on, selections) = (self.schema.concrete_type_by_name(fragment.on), fragment.selections);
        let measured = self.selections(selections, on)?;
        if let Some(fragment) = self.fragments.get_mut(name) {
            fragment.state = State::Measured(measured);
        }
        Ok(measured)
    }

    /// What a value is, where it is known to be yes or no.
    fn flag(&self, value: &InputValue<DefaultScalarValue>) -> Option<bool> {
        match self.known(value)? {
            DefaultScalarValue::Boolean(flag) => Some(*flag),
            DefaultScalarValue::Int(_) | DefaultScalarValue::Float(_) | DefaultScalarValue::String(_) => None,
        }
    }

    /// What a value is, where it is known to be a number; a negative one is refused later.
    fn number(&self, value: &InputValue<DefaultScalarValue>) -> Option<u64> {
        match self.known(value)? {
            DefaultScalarValue::Int(number) => Some(u64::try_from(*number).unwrap_or(0)),
            DefaultScalarValue::Float(_) | DefaultScalarValue::String(_) | DefaultScalarValue::Boolean(_) => None,
        }
    }

    fn known<'v>(&'v self, value: &'v InputValue<DefaultScalarValue>) -> Option<&'v DefaultScalarValue> {
        match value {
            InputValue::Scalar(scalar) => Some(scalar),
            InputValue::Variable(name) => match self.values.get(name)? {
                InputValue::Scalar(scalar) => Some(scalar),
                InputValue::Null
                | InputValue::Enum(_)
                | InputValue::Variable(_)
                | InputValue::List(_)
                | InputValue::Object(_) => None,
            },
            InputValue::Null | InputValue::Enum(_) | InputValue::List(_) | InputValue::Object(_) => None,
        }
    }
}

/// What a field costs whose selection costs `below`.
fn cost(
    name: &str,
    meta: Option<&FieldMeta<DefaultScalarValue>>,
    answer: Option<&MetaType<DefaultScalarValue>>,
    size: Option<u64>,
    at_root: bool,
    below: u64,
) -> u64 {
    let weight = WEIGHTS.iter().find(|(heavy, _)| *heavy == name).map_or(0, |(_, weight)| *weight);
    if at_root && matches!(name, "__schema" | "__type") {
        return INTROSPECTION;
    }
    if !matches!(answer, Some(MetaType::Object(_))) {
        return weight;
    }
    let is_list = meta.is_some_and(|meta| meta.field_type.to_string().starts_with('['));
    let answer = match (is_list, size) {
        (true, Some(size)) => size.saturating_mul(below.saturating_add(1)),
        (true, None) if name == ENTRIES => below.saturating_add(1),
        (true, None) => entries(name, at_root).saturating_mul(below.saturating_add(1)),
        (false, Some(size)) => size.saturating_mul(below).saturating_add(1),
        (false, None) => below.saturating_add(1),
    };
    answer.saturating_add(weight)
}

/// Entries that a list without a size counts as.
fn entries(name: &str, at_root: bool) -> u64 {
    if !at_root {
        return UNSIZED;
    }
    LISTS.iter().find(|(list, _)| *list == name).map_or(UNSIZED_ROOT, |(_, entries)| *entries)
}

fn length<T>(items: Option<&[T]>) -> u64 {
    items.map_or(0, |items| u64::try_from(items.len()).unwrap_or(u64::MAX))
}
