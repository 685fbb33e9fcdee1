//! The compiler of a file.

use super::differences::conditions;
use super::holes::{Names, Resolver, Root, expand, field_of, is_form, time_form};
use super::raw::{Raw, RawValue};
use super::sections::Problems;
use crate::forms::{Form, Table, TableRow, Tables, content_type_of, kind_of};
use crate::model::{Found, Operation, Shape, Type, answer_shape, event_shape};
use crate::pattern::{FormText, List, Node, NodeKind, lay_over, parse, parse_path};
use crate::plan::{
    Compiled, CredentialsPlace, Empty, EventRule, Fence, Fixed, FixedValue, FollowUp, OutcomeRow,
    Plan, PlanMember, Preset, Refusal, RequestFrame, RequestRule, ResponsePlan, Slot, SlotSource,
    TextPlan, Transport,
};
use crate::problem::{Problem, nearest};
use crate::syntax::{Kind, Syntax, Value, item_index, item_key};
use crate::token_check::TokenCheck;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;
use tolmach_dialect::errors::FAULTS;

/// The sections of a file.
const SECTIONS: [&str; 12] = [
    "dialect",
    "tcp",
    "token_check",
    "memory",
    "values",
    "choice",
    "outcomes",
    "part",
    "envelope",
    "violation",
    "request",
    "event",
];

/// The most variants of one event: the combinations of all choices.
const MAX_VARIANTS: usize = 8;

/// Compiles a file. The problems hold an error exactly if there is no result. `own_end` is the end
/// of the file itself, behind which those that it extends are.
pub(crate) fn compile(raw: &Raw, own_end: usize) -> (Option<Compiled>, Vec<Problem>) {
    let mut problems = Problems::default();
    problems.only(raw, &SECTIONS);
    let compiled = compiled(raw, own_end, &mut problems);
    let compiled = if problems.has_errors() { None } else { compiled };
    (compiled, problems.0)
}

/// The outcomes of a file.
struct Outcomes {
    columns: Vec<String>,
    rows: Vec<OutcomeRow>,
}

fn compiled(raw: &Raw, own_end: usize, problems: &mut Problems) -> Option<Compiled> {
    let empty = Raw::empty(raw.place.start..raw.place.start + 1);
    let section = |name: &str| raw.get(name).unwrap_or(&empty);
    let head = section("dialect");
    problems.only(
        head,
        &[
            "id",
            "revision",
            "summary",
            "syntax",
            "transports",
            "paths",
            "opens",
            "opening",
            "credentials",
            "administrators",
            "ignore",
            "push",
            "extends",
        ],
    );
    let syntax = {
        let text = problems.text(head, "syntax").unwrap_or("json");
        let place = head.get("syntax").unwrap_or(head);
        problems.choice(place, text, &Syntax::NAMES).unwrap_or(Syntax::Json)
    };
    let memory = memory(section("memory"), problems);
    let tables = tables(section("values"), problems);
    let (choices, choice_names) = choices(section("choice"), problems);
    let tables = Tables { tables, choices };
    let outcomes = outcomes(section("outcomes"), problems);
    let parts = patterns(section("part"), syntax, problems);
    let envelopes = patterns(section("envelope"), syntax, problems);
    let names = Names {
        columns: &outcomes.columns,
        memory: &memory,
        tables: &tables,
        choices: &choice_names,
        parts: &parts,
    };
    let mut compiler =
        Compiler { syntax, names: &names, envelopes: &envelopes, outcomes: &outcomes };
    let requests = compiler.requests(section("request"), problems);
    let events = compiler.events(section("event"), problems);
    check_reached(&events, section("event"), problems);
    let requests = linked(requests, problems);
    compiler.tell_apart(&requests, problems);
    compiler.check_fences(&requests, problems);
    compiler.tell_frames_apart(&requests, problems);
    let requests = compiler.with_conditions(requests);
    let violations = section("violation");
    problems.only(violations, &["unknown", "malformed"]);
    let unknown = compiler.violation(violations.get("unknown"), problems);
    let malformed = compiler.violation(violations.get("malformed"), problems);
    let opens = head.get("opens").and_then(|raw| compiler.pattern(raw, problems));
    let nothing = Root { shape: None, request: None };
    let opens = opens.map(|node| compiler.plan(&node, nothing, problems)).map(required);
    if let (Some(plan), Some(raw)) = (&opens, head.get("opens"))
        && !is_telling(plan)
    {
        problems.error(raw, "opens: every object fulfils it; a key without `?` is needed");
    }
    let response_name_path = envelopes.get("response").and_then(name_path);
    let event_name_path = match envelopes.get("event") {
        Some(event) => name_path(event),
        None => response_name_path.clone(),
    };
    let name_path = envelopes.get("request").and_then(name_path).unwrap_or_default();
    if name_path.is_empty() {
        let place = section("envelope");
        problems.error(place, "[envelope] request: a key with the hole <name> is expected");
    }
    let is_list =
        envelopes.get("request").is_some_and(|envelope| matches!(envelope.kind, NodeKind::List(_)));
    if is_list && opens.as_ref().is_some_and(|opens| matches!(opens, Plan::Object(_))) {
        let place = head.get("opens").unwrap_or(head);
        problems.error(place, "opens: a list is expected, as frames are lists by [envelope]");
    }
    let transports = transports(head, problems);
    let credentials = credentials(head, problems);
    if credentials == [CredentialsPlace::Field] && !requests.iter().any(|rule| rule.needs_token) {
        let place = head.get("credentials").unwrap_or(head);
        problems.error(place, "credentials: field: no request has a hole <proof.token>");
    }
    if let Some(id) = head.get("id")
        && let Some(text) = id.text()
        && !is_id(text)
    {
        problems.error(id, "an id has lowercase letters and digits, and begins with a letter");
    }
    check_outcomes(&outcomes, section("outcomes"), problems);
    let own_rows =
        |name: &str| section("outcomes").get(name).filter(|row| row.place.start < own_end);
    check_row_names(&outcomes, own_rows, &requests, &events, problems);
    check_kinds(&tables, section("values"), &requests, &events, problems);
    let variants: usize = tables.choices.iter().map(Vec::len).product();
    if variants > MAX_VARIANTS {
        let text = format!("{variants} combinations of forms; at most {MAX_VARIANTS} are possible");
        problems.error(section("choice"), text);
    }
    let pace = pace(section("tcp"), problems);
    let token_check = raw.get("token_check").map(|raw| token_check(raw, problems));
    let opening = match problems.text(head, "opening") {
        Some(opening) => opening.to_owned(),
        None => head.get("opens").and_then(Raw::text).unwrap_or_default().to_owned(),
    };
    let is_text_tag = |slot: &Slot| {
        slot.source == SlotSource::Tag && slot.forms.contains(&Form::Any(Some(Kind::Text)))
    };
    let mut frames = requests.iter().flat_map(|rule| &rule.frames);
    let has_text_tags = frames.any(|frame| uses(&frame.plan, &is_text_tag));
    Some(Compiled {
        id: problems.needed_text(head, "id").to_owned(),
        revision: problems.text(head, "revision").unwrap_or("doc").to_owned(),
        summary: problems.needed_text(head, "summary").to_owned(),
        syntax,
        transports,
        paths: paths(head, "paths", problems),
        administrator_paths: paths(head, "administrators", problems),
        opens,
        opening,
        credentials,
        ignore: problems.texts(head, "ignore"),
        push: problems.flag(head, "push").unwrap_or(true),
        pace,
        token_check,
        outcomes: outcomes.rows.clone(),
        requests,
        events,
        name_path,
        is_list,
        response_name_path,
        event_name_path,
        unknown,
        malformed,
        memory: memory.clone(),
        tables: tables.clone(),
        has_text_tags,
    })
}

/// True for the id of a dialect.
fn is_id(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

fn memory(raw: &Raw, problems: &mut Problems) -> Vec<(String, Type)> {
    let mut memory = Vec::new();
    let types = [("flow", Type::FlowId), ("message", Type::MessageId), ("user", Type::UserId)];
    for (name, value) in raw.table().into_iter().flatten() {
        let text = problems.text(raw, name).unwrap_or_default();
        if let Some(of) = problems.choice(value, text, &types) {
            memory.push((name.clone(), of));
        }
    }
    memory
}

fn tables(raw: &Raw, problems: &mut Problems) -> Vec<Table> {
    let mut tables = Vec::new();
    for (name, rows) in raw.table().into_iter().flatten() {
        not_a_form(name, rows, problems);
        let mut table = Table { name: name.clone(), ..Table::default() };
        for (model, wire) in rows.table().into_iter().flatten() {
            let values: Vec<Value<'static>> =
                wire.items().iter().filter_map(|item| constant(item, problems)).collect();
            match (model.as_str(), values.first()) {
                ("*", Some(Value::Text(text))) if text == "*" => table.others_as_they_are = true,
                ("*", Some(value)) => table.others = Some(value.clone()),
                (_, Some(_)) => match word(model) {
                    Some(name) => table.rows.push(TableRow { name, wire: values }),
                    None => {
                        let near = nearest(model, WORDS.iter().copied());
                        problems.error(wire, format!("{model}: no such value; {near}"));
                    }
                },
                (_, None) => problems.error(wire, "a value is expected"),
            }
        }
        tables.push(table);
    }
    tables
}

/// Refuses the name of a form for a table or a choice: a hole could mean either.
fn not_a_form(name: &str, raw: &Raw, problems: &mut Problems) {
    if is_form(name) {
        problems.error(raw, format!("{name}: a form has this name; another one is needed"));
    }
}

/// The values of closed sets.
const WORDS: [&str; 18] = [
    "chat",
    "group",
    "channel",
    "text",
    "image",
    "file",
    "sticker",
    "all",
    "unread",
    "newest",
    "true",
    "false",
    "any",
    "shared",
    "nothing",
    "connection",
    "token",
    "pair",
];

fn word(text: &str) -> Option<&'static str> {
    WORDS.into_iter().find(|word| *word == text)
}

fn choices(raw: &Raw, problems: &mut Problems) -> (Vec<Vec<crate::forms::Form>>, Vec<String>) {
    let (mut choices, mut names) = (Vec::new(), Vec::new());
    for (name, value) in raw.table().into_iter().flatten() {
        not_a_form(name, value, problems);
        let mut forms = Vec::new();
        for text in problems.texts(raw, name) {
            let form = FormText { place: value.place.clone(), name: text, argument: None };
            match time_form(&form) {
                Some(Ok(form)) => forms.push(form),
                _ => problems.error(value, format!("{}: a form of times is expected", form.name)),
            }
        }
        choices.push(forms);
        names.push(name.clone());
    }
    (choices, names)
}

fn outcomes(raw: &Raw, problems: &mut Problems) -> Outcomes {
    let columns = problems.texts(raw, "columns");
    let mut rows = Vec::new();
    for (name, value) in raw.table().into_iter().flatten().filter(|(name, _)| name != "columns") {
        rows.push(OutcomeRow { name: name.clone(), cells: cells(value, &columns, problems) });
    }
    Outcomes { columns, rows }
}

/// The cells of a row; those that are missing are none.
fn cells(raw: &Raw, columns: &[String], problems: &mut Problems) -> Vec<Option<Value<'static>>> {
    let RawValue::List(items) = &raw.value else {
        problems.error(raw, "a list of cells is expected");
        return Vec::new();
    };
    if items.len() > columns.len() {
        problems.error(raw, format!("{} cells for {} columns", items.len(), columns.len()));
    }
    let cells = items.iter().map(|item| constant(item, problems));
    cells.chain(std::iter::repeat(None)).take(columns.len()).collect()
}

fn constant(raw: &Raw, problems: &mut Problems) -> Option<Value<'static>> {
    Some(match &raw.value {
        RawValue::Text(text, _) => Value::Text(text.clone().into()),
        RawValue::Integer(number) => Value::Integer(*number),
        RawValue::Flag(flag) => Value::Flag(*flag),
        _ => {
            problems.error(raw, "a text, an integer, true or false is expected");
            return None;
        }
    })
}

fn check_outcomes(outcomes: &Outcomes, raw: &Raw, problems: &mut Problems) {
    let has = |name: &str| outcomes.rows.iter().any(|row| row.name == name);
    if has("*") {
        return;
    }
    let others = ["invalid", "unknown", "malformed"].into_iter();
    for fault in FAULTS.iter().map(tolmach_domain::Fault::name).chain(others) {
        if !has(fault) {
            problems.error(raw, format!("no outcome for `{fault}`, and no \"*\""));
        }
    }
}

/// The refusals that have a row beside those of faults without fields.
const OTHERS: [&str; 4] = ["invalid", "unknown", "malformed", "mistyped"];

/// The names of faults and violations, and `*`.
fn refusals() -> impl Iterator<Item = &'static str> + Clone {
    FAULTS.iter().map(tolmach_domain::Fault::name).chain(OTHERS).chain(["*"])
}

/// A row of the file itself that no fault and no request or event leads to is a mistake in a name.
fn check_row_names<'r>(
    outcomes: &Outcomes,
    own: impl Fn(&str) -> Option<&'r Raw>,
    requests: &[RequestRule],
    events: &[EventRule],
    problems: &mut Problems,
) {
    let of_request = |rule: &RequestRule| {
        let empty = match rule.empty {
            Some(Empty::Outcome(row)) => Some(row),
            _ => None,
        };
        let needs = rule.needs.iter().map(|(_, _, row)| *row).collect::<Vec<_>>();
        needs.into_iter().chain(empty).chain([rule.ok])
    };
    let used: Vec<usize> =
        requests.iter().flat_map(of_request).chain(events.iter().map(|rule| rule.ok)).collect();
    for (index, row) in outcomes.rows.iter().enumerate() {
        let name = row.name.as_str();
        let is_known = refusals().any(|other| other == name) || name == "ok";
        if let Some(place) = own(name).filter(|_| !is_known && !used.contains(&index)) {
            let near = nearest(name, refusals());
            problems.error(place, format!("{name}: no fault, and no `ok` names it; {near}"));
        }
    }
}

/// A table by which the kind of any flow is written needs every kind.
fn check_kinds(
    tables: &Tables,
    raw: &Raw,
    requests: &[RequestRule],
    events: &[EventRule],
    problems: &mut Problems,
) {
    // These answer with flows of every kind, unless the command names some.
    let is_any = |rule: &&RequestRule| {
        let names_kinds = rule.set.iter().any(|fixed| fixed.path == ["kinds"])
            || rule.frames.iter().any(|frame| frame.keys.contains_key("kinds"));
        matches!(rule.operation, Operation::ListFlows | Operation::GetFlow) && !names_kinds
    };
    let answers = requests.iter().filter(is_any).filter_map(|rule| rule.response.frame());
    let events = events.iter().filter(|rule| rule.only.is_empty()).map(|rule| &rule.plan);
    let plans: Vec<&Plan> = answers.chain(events).collect();
    for (index, table) in tables.tables.iter().enumerate() {
        let writes = |slot: &Slot| {
            slot.of == Type::FlowKind && slot.forms.first() == Some(&Form::Table(index))
        };
        if table.others.is_some()
            || table.others_as_they_are
            || !plans.iter().any(|plan| uses(plan, &writes))
        {
            continue;
        }
        for kind in ["chat", "group", "channel"] {
            if !table.rows.iter().any(|row| row.name == kind) {
                let name = &table.name;
                let text = format!("values.{name}: {kind} has no value and there is no \"*\"");
                problems.error(raw.get(name).unwrap_or(raw), text);
            }
        }
    }
}

fn patterns(raw: &Raw, syntax: Syntax, problems: &mut Problems) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    for (name, value) in raw.table().into_iter().flatten() {
        if let Some(node) = parsed(value, syntax, problems) {
            nodes.insert(name.clone(), node);
        }
    }
    nodes
}

fn parsed(raw: &Raw, syntax: Syntax, problems: &mut Problems) -> Option<Node> {
    match &raw.value {
        RawValue::Text(text, start) => problems.ok(parse(text, *start, syntax)),
        _ => {
            problems.error(raw, "a frame in a text is expected");
            None
        }
    }
}

/// A plan whose keys must all be there, and equal where they are constants: the first frame of a
/// wire has them, that of any other wire may lack them.
fn required(plan: Plan) -> Plan {
    match plan {
        Plan::Constant(value, _) => Plan::Constant(value, true),
        Plan::Object(members) => {
            let member = |member: PlanMember| match member.is_optional {
                true => member,
                false => PlanMember { is_required: true, plan: required(member.plan), ..member },
            };
            Plan::Object(members.into_iter().map(member).collect())
        }
        Plan::Fixed(items) => {
            let item = |item: Plan| match required(item) {
                Plan::Slot(slot) => Plan::Slot(Slot { is_optional: false, ..slot }),
                other => other,
            };
            Plan::Fixed(items.into_iter().map(item).collect())
        }
        other => other,
    }
}

/// True if an opening tells a frame from any other object: by a key that must be there.
fn is_telling(opens: &Plan) -> bool {
    match opens {
        Plan::Object(members) => members.iter().any(|member| member.is_required),
        Plan::Fixed(items) => !items.is_empty(),
        _ => true,
    }
}

/// The keys that lead to `<name>`.
fn name_path(node: &Node) -> Option<Vec<String>> {
    match &node.kind {
        NodeKind::Hole(hole) => (hole.path.as_deref()? == ["name"]).then(Vec::new),
        NodeKind::Object(members) => members.iter().find_map(|member| {
            let mut path = name_path(&member.node)?;
            path.insert(0, member.keys[0].clone());
            Some(path)
        }),
        NodeKind::List(List::Fixed(items, _)) => {
            items.iter().enumerate().find_map(|(index, item)| {
                let mut path = name_path(item)?;
                path.insert(0, item_key(index));
                Some(path)
            })
        }
        _ => None,
    }
}

/// The constant at the end of these keys.
fn constant_at(node: &Node, path: &[String]) -> Option<Value<'static>> {
    match (&node.kind, path.split_first()) {
        (NodeKind::Constant(value), None) => Some(value.clone()),
        (NodeKind::Object(members), Some((key, rest))) => {
            let member = members.iter().find(|member| member.keys[0] == *key)?;
            constant_at(&member.node, rest)
        }
        (NodeKind::List(List::Fixed(items, _)), Some((key, rest))) => {
            constant_at(items.get(item_index(key)?)?, rest)
        }
        _ => None,
    }
}

/// The names of a path from an answer, each with true if it is a list, and the type at its end. The
/// one object of an answer may be named: `message.id` where the answer is the message.
fn answer_path(shape: Shape, names: &[String]) -> Option<(Vec<(&'static str, bool)>, Type)> {
    let (first, rest) = names.split_first()?;
    let Some(field) = shape.field(first.trim_end_matches("[]")) else {
        let (prefix, inner) = shape.inner()?;
        let own = ["message", "user", "flow"].contains(&first.as_str());
        return match (prefix, own && !rest.is_empty()) {
            ("", true) => answer_path(inner, rest),
            ("", false) => answer_path(inner, names),
            _ => None,
        };
    };
    match (field.of, rest.is_empty()) {
        (of, true) => Some((vec![(field.name, false)], of)),
        (Type::Object(inner), false) => {
            let (mut path, of) = answer_path(inner, rest)?;
            path.insert(0, (field.name, false));
            Some((path, of))
        }
        (Type::List(crate::model::Item::Object(inner)), false) => {
            let (mut path, of) = answer_path(inner, rest)?;
            path.insert(0, (field.name, true));
            Some((path, of))
        }
        _ => None,
    }
}

fn transports(head: &Raw, problems: &mut Problems) -> Vec<Transport> {
    let names = [("websocket", Transport::WebSocket), ("tcp", Transport::Tcp)];
    let place = head.get("transports").unwrap_or(head);
    let texts = problems.texts(head, "transports");
    if texts.is_empty() {
        return vec![Transport::WebSocket];
    }
    texts.iter().filter_map(|text| problems.choice(place, text, &names)).collect()
}

fn credentials(head: &Raw, problems: &mut Problems) -> Vec<CredentialsPlace> {
    let place = head.get("credentials").unwrap_or(head);
    let names = [
        ("connection", CredentialsPlace::Connection),
        ("field", CredentialsPlace::Field),
        ("header", CredentialsPlace::Header),
        ("subprotocol", CredentialsPlace::Subprotocol),
        ("query", CredentialsPlace::Query),
    ];
    let texts = problems.texts(head, "credentials");
    let places = texts.iter().filter_map(|text| problems.choice(place, text, &names));
    let places: Vec<CredentialsPlace> = places.collect();
    if head.get("credentials").is_none() {
        problems.error(head, "the key credentials is missing");
    }
    if places.len() > 1 && !places.iter().all(|place| place.is_of_handshake()) {
        problems.error(place, "several places: header, subprotocol and query only");
    }
    places
}

fn paths(head: &Raw, key: &str, problems: &mut Problems) -> Vec<String> {
    let paths = problems.texts(head, key);
    for path in &paths {
        if !path.starts_with('/') || path.contains(['?', '#', ' ', '{', '}', '*']) {
            let place = head.get(key).unwrap_or(head);
            let text = "a path begins with a slash and has none of ? # { } * and spaces";
            problems.error(place, format!("{path}: {text}"));
        }
    }
    paths
}

fn token_check(raw: &Raw, problems: &mut Problems) -> TokenCheck {
    problems.only(raw, &["path", "granted", "refused"]);
    paths(raw, "path", problems);
    TokenCheck {
        path: problems.needed_text(raw, "path").to_owned(),
        granted: problems.needed_text(raw, "granted").to_owned(),
        refused: problems.needed_text(raw, "refused").to_owned(),
    }
}

fn pace(raw: &Raw, problems: &mut Problems) -> Option<Duration> {
    problems.only(raw, &["pace"]);
    let text = problems.text(raw, "pace")?;
    let milliseconds = text.strip_suffix("ms").and_then(|digits| digits.trim().parse().ok());
    if milliseconds.is_none() {
        problems.error(raw, format!("pace: {text}: milliseconds such as \"20ms\" are expected"));
    }
    milliseconds.map(Duration::from_millis)
}

/// Compiles requests and events.
struct Compiler<'a> {
    syntax: Syntax,
    names: &'a Names<'a>,
    envelopes: &'a BTreeMap<String, Node>,
    outcomes: &'a Outcomes,
}

impl Compiler<'_> {
    fn pattern(&self, raw: &Raw, problems: &mut Problems) -> Option<Node> {
        let node = parsed(raw, self.syntax, problems)?;
        problems.ok(expand(&node, self.names, 0))
    }

    fn plan(&self, node: &Node, root: Root, problems: &mut Problems) -> Plan {
        Resolver { names: self.names, root, problems }.plan(node)
    }

    /// An envelope with a frame laid over it.
    fn enveloped(
        &self,
        envelope: &str,
        frame: Option<&Node>,
        place: &Raw,
        problems: &mut Problems,
    ) -> Node {
        let empty = Node::object(place.place.clone(), Vec::new());
        let lower = match self.envelopes.get(envelope) {
            Some(lower) => {
                let lower = problems.ok(expand(lower, self.names, 0));
                lower.unwrap_or_else(|| empty.clone())
            }
            None if envelope == "refused" => {
                return self.enveloped("response", frame, place, problems);
            }
            None => {
                let near = nearest(envelope, self.envelopes.keys().map(String::as_str));
                problems.error(place, format!("[envelope] {envelope}: no such envelope; {near}"));
                empty.clone()
            }
        };
        let lower = if envelope == "refused" {
            match self.envelopes.get("response") {
                Some(response) => {
                    let response = problems.ok(expand(response, self.names, 0));
                    response.map_or(lower.clone(), |response| lay_over(&response, &lower))
                }
                None => lower,
            }
        } else {
            lower
        };
        let frame = frame.unwrap_or(&empty);
        match (&lower.kind, &frame.kind) {
            // A frame that says nothing of its own is the whole list of its envelope.
            (NodeKind::List(_), NodeKind::Object(members)) if members.is_empty() => lower,
            _ => lay_over(&lower, frame),
        }
    }

    /// The frame of a violation; `None` where it is not answered.
    fn violation(&self, raw: Option<&Raw>, problems: &mut Problems) -> Option<Plan> {
        if raw.and_then(|raw| raw.get("frame")).and_then(Raw::text) == Some("nothing") {
            return None;
        }
        let place = Raw::empty(0..1);
        let frame = raw.and_then(|raw| {
            problems.only(raw, &["frame"]);
            self.pattern(raw.get("frame")?, problems)
        });
        let node = self.enveloped("refused", frame.as_ref(), raw.unwrap_or(&place), problems);
        Some(self.plan(&node, Root { shape: None, request: None }, problems))
    }

    fn outcome(&self, name: &str, place: &Raw, problems: &mut Problems) -> usize {
        match self.outcomes.rows.iter().position(|row| row.name == name) {
            Some(row) => row,
            None => {
                let near = nearest(name, self.outcomes.rows.iter().map(|row| row.name.as_str()));
                problems.error(place, format!("{name}: no such outcome; {near}"));
                0
            }
        }
    }

    /// A key by fault: a fault, a violation, `*`, or a row of the file.
    fn refusal_named(&self, name: &str, place: &Raw, problems: &mut Problems) {
        let has = |rows: &[OutcomeRow]| rows.iter().any(|row| row.name == name);
        if !refusals().any(|other| other == name) && !has(&self.outcomes.rows) {
            let text = format!("{name}: no such fault; {}", nearest(name, refusals()));
            problems.error(place, text);
        }
    }

    fn memory(&self, name: &str, place: &Raw, problems: &mut Problems) -> Option<usize> {
        let cell = self.names.memory.iter().position(|(cell, _)| cell == name);
        if cell.is_none() {
            let near = nearest(name, self.names.memory.iter().map(|(cell, _)| cell.as_str()));
            problems.error(place, format!("{name}: no such memory; {near}"));
        }
        cell
    }

    fn requests(&mut self, raw: &Raw, problems: &mut Problems) -> Vec<RequestRule> {
        let mut rules: Vec<RequestRule> = Vec::new();
        for (command, raw) in raw.table().into_iter().flatten() {
            let Some(operation) = Operation::ALL.into_iter().find(|o| o.name() == command) else {
                let near = nearest(command, Operation::ALL.into_iter().map(Operation::name));
                problems.error(raw, format!("request.{command}: no such command; {near}"));
                continue;
            };
            for raw in raw.items() {
                rules.extend(self.request(operation, raw, problems));
            }
        }
        rules.sort_by_key(|rule| rule.place.start);
        rules
    }

    fn request(
        &self,
        operation: Operation,
        raw: &Raw,
        problems: &mut Problems,
    ) -> Option<RequestRule> {
        problems.only(
            raw,
            &[
                "name",
                "answer",
                "after",
                "envelope",
                "frame",
                "set",
                "response",
                "response_set",
                "ok",
                "refused",
                "outcomes",
                "each",
                "empty",
                "fence",
                "remember",
                "forget",
                "needs",
                "bars",
                "replaces",
                "dropped",
            ],
        );
        let Some(name) = raw.get("name") else {
            problems.error(raw, "the key name is missing");
            return None;
        };
        let name = constant(name, problems)?;
        let answer = match raw.get("answer") {
            Some(answer) => constant(answer, problems)?,
            None => name.clone(),
        };
        let after = after(raw, problems);
        let shape = Shape::Command(operation);
        let envelope = problems.text(raw, "envelope").unwrap_or("request").to_owned();
        let frames: Vec<Option<Node>> = match raw.get("frame") {
            Some(frames) => {
                frames.items().iter().map(|frame| self.pattern(frame, problems)).collect()
            }
            None => vec![None],
        };
        let root = Root { shape: Some(shape), request: None };
        let frames: Vec<RequestFrame> = frames
            .iter()
            .map(|frame| {
                let node = self.enveloped(&envelope, frame.as_ref(), raw, problems);
                let plan = self.plan(&node, root, problems);
                let keys = keys(&plan);
                RequestFrame { plan, conditions: Vec::new(), keys }
            })
            .collect();
        let set = self.set(raw, shape, problems);
        self.check_complete(operation, &frames, &set, raw, problems);

        let answer_shape = answer_shape(operation);
        let answer_root = Root { shape: Some(answer_shape), request: Some(shape) };
        let response = match raw.get("response") {
            Some(raw) if raw.text() == Some("event") => ResponsePlan::Event,
            Some(raw) if raw.text() == Some("nothing") => ResponsePlan::Nothing,
            response => {
                let frame = response.and_then(|raw| self.pattern(raw, problems));
                let each = raw.get("each").and_then(Raw::text);
                let plan = self.response(frame.as_ref(), each, answer_root, raw, problems);
                ResponsePlan::Frame(plan)
            }
        };
        let each = raw.get("each").and_then(|list| {
            let path = parse_path(list.text().unwrap_or_default(), &list.place);
            let path = problems.ok(path)?;
            let names = self.names;
            Resolver { names, root: answer_root, problems }.slot(&path, &list.place)
        });
        let response_set = self.response_set(raw, operation, problems);
        let fence = raw.get("fence").and_then(|fence| self.fence(fence, problems));
        match (&each, raw.get("fence")) {
            (None, Some(fence)) => problems.error(fence, "fence: there is no each to end"),
            (Some(_), None) if after.is_empty() => {
                let text = "`each` without `fence`: a client cannot find out where the answer ends";
                problems.add(Problem::warning(raw.place.clone(), text));
            }
            _ => {}
        }
        let empty = raw.get("empty").and_then(|raw| self.empty(raw, answer_root, problems));
        let without_items = each.is_some().then(|| {
            let node = self.enveloped("response", None, raw, problems);
            self.plan(&node, answer_root, problems)
        });
        let ok = problems.text(raw, "ok").unwrap_or("ok").to_owned();
        let ok = self.outcome(&ok, raw.get("ok").unwrap_or(raw), problems);
        let refused = self.refused(raw, shape, problems);
        let mut outcomes = HashMap::new();
        for (fault, row) in raw.get("outcomes").and_then(Raw::table).into_iter().flatten() {
            self.refusal_named(fault, row, problems);
            outcomes.insert(fault.clone(), cells(row, &self.outcomes.columns, problems));
        }
        let remember = self.remember(raw, shape, answer_shape, problems);
        let forget = problems.texts(raw, "forget");
        let forget = forget.iter().filter_map(|name| self.memory(name, raw, problems)).collect();
        let mut needs = Vec::new();
        for (key, must_be_set) in [("needs", true), ("bars", false)] {
            for (cell, outcome) in raw.get(key).and_then(Raw::table).into_iter().flatten() {
                let cell = self.memory(cell, outcome, problems);
                let row = self.outcome(outcome.text().unwrap_or_default(), outcome, problems);
                needs.extend(cell.map(|cell| (cell, must_be_set, row)));
            }
        }
        let response_uses = |wanted: &dyn Fn(&Slot) -> bool| {
            response.frame().is_some_and(|plan| uses(plan, wanted))
        };
        let keeps_request = response
            .frame()
            .into_iter()
            .chain(empty_plan(empty.as_ref()))
            .any(|plan| uses(plan, &|slot| slot.source == SlotSource::Request))
            || response.is_event()
            || remember.iter().any(|(_, _, from_request)| *from_request);
        let needs_token =
            frames.iter().any(|frame| uses(&frame.plan, &|slot| slot.source == SlotSource::Token));
        if needs_token && matches!(operation, Operation::Login | Operation::Register) {
            let command = operation.name();
            let text = format!(
                "{command}: a client that has no token yet cannot write <proof.token>; without it, \
                 in an `envelope` of its own, the check can play the stories"
            );
            problems.add(Problem::warning(raw.place.clone(), text));
        }
        Some(RequestRule {
            operation,
            name,
            answer,
            place: raw.place.clone(),
            after,
            follow_ups: Vec::new(),
            frames,
            set,
            response_set,
            each,
            fence,
            empty,
            without_items,
            ok,
            refused,
            outcomes,
            remember,
            forget,
            needs,
            says_left: response_uses(&|slot| slot.path.first() == Some(&"left")),
            is_paged: response_uses(&|slot| {
                slot.source == SlotSource::Scope(0)
                    && matches!(slot.path.as_slice(), ["total" | "next"])
            }),
            response,
            keeps_request,
            needs_token,
        })
    }

    /// The plan of a response, or of the frame of one of its items.
    fn response(
        &self,
        frame: Option<&Node>,
        each: Option<&str>,
        root: Root,
        raw: &Raw,
        problems: &mut Problems,
    ) -> Plan {
        // Events have an envelope of their own, or that of responses.
        let is_event = matches!(root.shape, Some(Shape::Event(_)));
        let is_own = is_event && self.envelopes.contains_key("event");
        let envelope = if is_own { "event" } else { "response" };
        let node = self.enveloped(envelope, frame, raw, problems);
        match each {
            Some(list) => self.item_plan(&node, list, root, problems),
            None => self.plan(&node, root, problems),
        }
    }

    /// The plan of the frame of one item of a list of the root.
    fn item_plan(&self, node: &Node, list: &str, root: Root, problems: &mut Problems) -> Plan {
        let Ok(path) = parse_path(list, &node.place) else {
            return Plan::Constant(Value::Null, false);
        };
        let item = Box::new(node.clone());
        let kind = NodeKind::List(List::OneOrMany { path, item });
        match self.plan(&Node { place: node.place.clone(), kind }, root, problems) {
            Plan::List(list) => *list.item,
            other => other,
        }
    }

    fn empty(&self, raw: &Raw, root: Root, problems: &mut Problems) -> Option<Empty> {
        let text = raw.text()?;
        if text.starts_with('{') {
            let frame = self.pattern(raw, problems)?;
            let node = self.enveloped("response", Some(&frame), raw, problems);
            return Some(Empty::Frame(self.plan(&node, root, problems)));
        }
        Some(Empty::Outcome(self.outcome(text, raw, problems)))
    }

    fn refused(&self, raw: &Raw, shape: Shape, problems: &mut Problems) -> Refusal {
        let root = Root { shape: None, request: Some(shape) };
        let plan = |frame: Option<&Raw>, problems: &mut Problems| {
            let frame = frame.and_then(|frame| self.pattern(frame, problems));
            let node = self.enveloped("refused", frame.as_ref(), raw, problems);
            self.plan(&node, root, problems)
        };
        match raw.get("refused") {
            Some(value) if value.text() == Some("nothing") => Refusal::Nothing,
            Some(value) if value.table().is_some() => {
                let mut frames = HashMap::new();
                for (fault, frame) in value.table().into_iter().flatten() {
                    self.refusal_named(fault, frame, problems);
                    frames.insert(fault.clone(), plan(Some(frame), problems));
                }
                frames.entry("*".to_owned()).or_insert_with(|| plan(None, problems));
                Refusal::ByFault(frames)
            }
            frame => Refusal::Frame(plan(frame, problems)),
        }
    }

    /// The fields of a command that a wire fixes.
    fn set(&self, raw: &Raw, shape: Shape, problems: &mut Problems) -> Vec<Fixed> {
        let mut set = Vec::new();
        let root = Root { shape: Some(shape), request: None };
        for (path, value) in raw.get("set").and_then(Raw::table).into_iter().flatten() {
            let Some(names) = problems.ok(parse_path(path, &value.place)) else { continue };
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let Some((names, of, _)) = field_of(shape, &names) else {
                let near = nearest(path, shape.fields().iter().map(|field| field.name));
                problems.error(value, format!("{path}: the command has no such field; {near}"));
                continue;
            };
            if let Some(value) = self.fixed_value(value, of, root, problems) {
                set.push(Fixed { path: names, value });
            }
        }
        set
    }

    /// The fields that a response leaves out.
    fn response_set(
        &self,
        raw: &Raw,
        operation: Operation,
        problems: &mut Problems,
    ) -> Vec<Preset> {
        let mut set = Vec::new();
        let shape = answer_shape(operation);
        let root = Root { shape: Some(shape), request: Some(Shape::Command(operation)) };
        for (path, value) in raw.get("response_set").and_then(Raw::table).into_iter().flatten() {
            let Some(names) = problems.ok(parse_path(path, &value.place)) else { continue };
            let Some((path, of)) = answer_path(shape, &names) else {
                problems.error(value, format!("{path}: the answer has no such field"));
                continue;
            };
            if let Some(value) = self.fixed_value(value, of, root, problems) {
                set.push(Preset { path, value });
            }
        }
        set
    }

    /// The request behind an answer of a frame an item.
    fn fence(&self, raw: &Raw, problems: &mut Problems) -> Option<Fence> {
        let node = self.pattern(raw, problems)?;
        let path = self.envelopes.get("request").and_then(name_path)?;
        let Some(name) = constant_at(&node, &path) else {
            let text = format!("fence: the key {} with the name of a request", path.join("."));
            problems.error(raw, format!("{text} is expected"));
            return None;
        };
        let plan = self.plan(&node, Root { shape: None, request: None }, problems);
        Some(Fence { plan, name })
    }

    /// The requests of all fences must exist.
    fn check_fences(&self, rules: &[RequestRule], problems: &mut Problems) {
        for rule in rules {
            let Some(fence) = &rule.fence else { continue };
            let ends = |other: &RequestRule| {
                other.name == fence.name && other.each.is_none() && other.after.is_empty()
            };
            if !rules.iter().any(ends) {
                let text = "fence: no request with one response has this name";
                problems.add(Problem::error(rule.place.clone(), text));
            }
        }
    }

    fn fixed_value(
        &self,
        raw: &Raw,
        of: Type,
        root: Root,
        problems: &mut Problems,
    ) -> Option<FixedValue> {
        let hole = raw.text().and_then(|text| text.strip_prefix('<')?.strip_suffix('>'));
        if let Some(hole) = hole {
            if hole == "me" {
                let is_object = matches!(of, Type::Object(_));
                return Some(if is_object { FixedValue::Me } else { FixedValue::MyId });
            }
            let path = problems.ok(parse_path(hole, &raw.place))?;
            let names = self.names;
            let slot = Resolver { names, root, problems }.slot(&path, &raw.place)?;
            return Some(match slot.source {
                SlotSource::Request => FixedValue::Request(slot.path),
                SlotSource::Memory(cell) => FixedValue::Memory(cell),
                _ => FixedValue::Field(slot.path),
            });
        }
        let found = match (&raw.value, of) {
            (RawValue::Flag(flag), Type::Flag) => Some(Found::Flag(*flag)),
            (RawValue::Integer(number), _) => Some(Found::Integer(*number)),
            (RawValue::Text(text, _), Type::Word(words)) => {
                words.iter().find(|word| *word == text).map(|word| Found::Word(word))
            }
            (RawValue::Text(text, _), Type::FlowKind) => kind_of(text).map(Found::FlowKind),
            (RawValue::Text(text, _), Type::ContentType) => {
                content_type_of(text).map(Found::ContentType)
            }
            (RawValue::Text(text, _), Type::Text) => Some(Found::Text(text.clone())),
            _ => None,
        };
        if found.is_none() {
            let words = match of {
                Type::Word(words) => format!(": {}", words.join(", ")),
                _ => String::new(),
            };
            let title = of.title();
            problems.error(raw, format!("{title} is expected{words}"));
        }
        found.map(FixedValue::Constant)
    }

    fn remember(
        &self,
        raw: &Raw,
        request: Shape,
        answer: Shape,
        problems: &mut Problems,
    ) -> Vec<(usize, Vec<&'static str>, bool)> {
        let mut remember = Vec::new();
        let root = Root { shape: Some(answer), request: Some(request) };
        for (cell, value) in raw.get("remember").and_then(Raw::table).into_iter().flatten() {
            let Some(cell) = self.memory(cell, value, problems) else { continue };
            let hole = value.text().and_then(|text| text.strip_prefix('<')?.strip_suffix('>'));
            let Some(hole) = hole else {
                problems.error(value, "a hole such as \"<request.flow>\" is expected");
                continue;
            };
            // The answer of this command is the flow itself.
            let is_flow = answer == Shape::Answer(Operation::GetFlow);
            let hole = hole.strip_prefix("flow.").filter(|_| is_flow).unwrap_or(hole);
            let Some(path) = problems.ok(parse_path(hole, &value.place)) else { continue };
            if path.iter().any(|name| name.ends_with("[]"))
                && let Some((path, of)) = answer_path(answer, &path)
                && of.is_id()
            {
                remember.push((cell, path.into_iter().map(|(name, _)| name).collect(), false));
                continue;
            }
            let names = self.names;
            if let Some(slot) = (Resolver { names, root, problems }).slot(&path, &value.place) {
                remember.push((cell, slot.path, slot.source == SlotSource::Request));
            }
        }
        remember
    }

    /// Every field that a command needs must stand in each frame, or be set.
    fn check_complete(
        &self,
        operation: Operation,
        frames: &[RequestFrame],
        set: &[Fixed],
        raw: &Raw,
        problems: &mut Problems,
    ) {
        for field in Shape::Command(operation).fields().iter().filter(|field| !field.is_optional) {
            let is_set = set.iter().any(|fixed| fixed.path[0] == field.name);
            let is_field = |slot: &Slot| {
                slot.source == SlotSource::Scope(0) && slot.path.first() == Some(&field.name)
            };
            let all = frames.iter().all(|frame| uses(&frame.plan, &is_field));
            if !is_set && !all {
                let (command, name) = (operation.name(), field.name);
                problems.error(raw, format!("{command}: {name} has no hole and is not set"));
            }
        }
    }

    /// Finds requests that one frame could both be.
    fn tell_apart(&self, rules: &[RequestRule], problems: &mut Problems) {
        let rules: Vec<&RequestRule> = rules.iter().filter(|rule| rule.after.is_empty()).collect();
        for (index, rule) in rules.iter().enumerate() {
            for other in rules[index + 1..].iter().filter(|other| other.name == rule.name) {
                let tables = self.names.tables;
                let are_apart = |a: &RequestFrame, b: &RequestFrame| {
                    conditions(&a.plan, &b.plan, tables).is_some()
                        && conditions(&b.plan, &a.plan, tables).is_some()
                };
                let apart = rule
                    .frames
                    .iter()
                    .all(|frame| other.frames.iter().all(|other| are_apart(frame, other)));
                if !apart {
                    let (a, b) = (rule.operation.name(), other.operation.name());
                    let text = format!(
                        "requests {a} and {b}: one frame can be both; a constant, a kind, or a key \
                         that only one has must differ"
                    );
                    problems.add(Problem::error(other.place.clone(), text));
                }
            }
        }
    }

    /// Finds frames of one request of which the first would be read for both.
    fn tell_frames_apart(&self, rules: &[RequestRule], problems: &mut Problems) {
        let tables = self.names.tables;
        for rule in rules.iter().filter(|rule| rule.after.is_empty()) {
            for (index, frame) in rule.frames.iter().enumerate() {
                for (later, other) in rule.frames.iter().enumerate().skip(index + 1) {
                    let of = |a: &RequestFrame, b: &RequestFrame| {
                        conditions(&a.plan, &b.plan, tables).is_some()
                    };
                    if !of(frame, other) && !of(other, frame) {
                        let command = rule.operation.name();
                        let text = format!(
                            "{command}: one frame can be both frame {} and frame {} of the list; \
                             a constant, a kind, or a key that only one has must differ, not \
                             below a key with `?`",
                            index + 1,
                            later + 1
                        );
                        problems.add(Problem::error(rule.place.clone(), text));
                    }
                }
            }
        }
    }

    /// The rules with the conditions under which a frame is one of theirs.
    fn with_conditions(&self, mut rules: Vec<RequestRule>) -> Vec<RequestRule> {
        let tables = self.names.tables;
        let plans: Vec<(Value<'static>, Plan)> = rules
            .iter()
            .filter(|rule| rule.after.is_empty())
            .flat_map(|rule| rule.frames.iter().map(|f| (rule.name.clone(), f.plan.clone())))
            .collect();
        let mut number = 0;
        for rule in rules.iter_mut().filter(|rule| rule.after.is_empty()) {
            for frame in &mut rule.frames {
                for (other, (name, plan)) in plans.iter().enumerate() {
                    if other != number && *name == rule.name {
                        // Without a difference the other one has the condition.
                        let found = conditions(&frame.plan, plan, tables);
                        frame.conditions.extend(found.into_iter().flatten());
                    }
                }
                number += 1;
            }
        }
        rules
    }

    fn events(&mut self, raw: &Raw, problems: &mut Problems) -> Vec<EventRule> {
        let mut rules = Vec::new();
        for (event, raw) in raw.table().into_iter().flatten() {
            let Some(shape) = event_shape(event) else {
                let near = nearest(event, crate::model::EVENTS.into_iter());
                problems.error(raw, format!("event.{event}: no such event; {near}"));
                continue;
            };
            for raw in raw.items() {
                rules.extend(self.event(shape, raw, problems));
            }
        }
        rules
    }

    /// The value of the model that a field of an event must have.
    fn only_value(&self, raw: &Raw, of: Type) -> Result<String, String> {
        let text = match &raw.value {
            RawValue::Text(text, _) => text.clone(),
            RawValue::Flag(flag) => flag.to_string(),
            _ => return Err(format!("{} is expected", of.title())),
        };
        let words: &[&str] = match of {
            Type::FlowKind => &["chat", "group", "channel"],
            Type::Flag => &["true", "false"],
            Type::Word(words) => words,
            Type::Text | Type::ContentType => return Ok(text),
            _ => return Err(format!("`only` is of texts and closed sets, not of {}", of.title())),
        };
        if words.contains(&text.as_str()) {
            return Ok(text);
        }
        Err(format!("{text}: no value of the model; there are {}", words.join(", ")))
    }

    fn event(&self, shape: Shape, raw: &Raw, problems: &mut Problems) -> Option<EventRule> {
        problems.only(raw, &["name", "ok", "frame", "each", "only", "to", "replaces", "dropped"]);
        let Shape::Event(event) = shape else { return None };
        let name = raw.get("name").and_then(|name| constant(name, problems));
        let name = name.unwrap_or(Value::Null);
        let root = Root { shape: Some(shape), request: None };
        let frame = raw.get("frame").and_then(|frame| self.pattern(frame, problems));
        let each = raw.get("each").and_then(Raw::text);
        let plan = self.response(frame.as_ref(), each, root, raw, problems);
        let each = raw.get("each").and_then(|list| {
            let path = problems.ok(parse_path(list.text()?, &list.place))?;
            let names = self.names;
            Resolver { names, root, problems }.slot(&path, &list.place)
        });
        let ok = problems.text(raw, "ok").unwrap_or("ok").to_owned();
        let ok = self.outcome(&ok, raw.get("ok").unwrap_or(raw), problems);
        let mut only = Vec::new();
        for (path, value) in raw.get("only").and_then(Raw::table).into_iter().flatten() {
            let Some(path) = problems.ok(parse_path(path, &value.place)) else { continue };
            let names = self.names;
            let slot = Resolver { names, root, problems }.slot(&path, &value.place);
            let Some(slot) = slot else { continue };
            match self.only_value(value, slot.of) {
                Ok(text) => only.push((slot.path, text)),
                Err(text) => problems.error(value, text),
            }
        }
        let to = match problems.text(raw, "to") {
            None | Some("members") => None,
            Some(cell) => {
                let cell = cell.to_owned();
                self.memory(&cell, raw.get("to").unwrap_or(raw), problems)
            }
        };
        let is_private = uses(&plan, &|slot| {
            let differs = |name: &&str| ["others", "with", "name", "name_by_login"].contains(name);
            let is_authors = slot.path.contains(&"author");
            slot.source == SlotSource::Me || slot.path.iter().any(differs) && !is_authors
        });
        Some(EventRule { event, name, plan, each, ok, only, to, is_private })
    }
}

/// Finds entries of one event behind one that has all of their events.
fn check_reached(rules: &[EventRule], raw: &Raw, problems: &mut Problems) {
    for (index, rule) in rules.iter().enumerate() {
        let hides = |other: &&EventRule| {
            other.event == rule.event && other.only.iter().all(|one| rule.only.contains(one))
        };
        if rules[..index].iter().any(|other| hides(&other)) {
            let same = rules[..index].iter().filter(|other| other.event == rule.event).count();
            let place = raw.get(rule.event).and_then(|raw| raw.items().get(same));
            let text = format!(
                "event.{}: never reached; the entry before it, whose `only` is wider, has all of \
                 its events",
                rule.event
            );
            problems.error(place.unwrap_or(raw), text);
        }
    }
}

/// The commands after which a request is made, each with its fault.
fn after(raw: &Raw, problems: &mut Problems) -> Vec<(Operation, Option<&'static str>)> {
    let commands = Operation::ALL.map(|operation| (operation.name(), operation));
    let faults = FAULTS.iter().map(|fault| (fault.name(), Some(fault.name())));
    let outcomes: Vec<_> = std::iter::once(("ok", None)).chain(faults).collect();
    let mut after = Vec::new();
    for (command, outcome) in raw.get("after").and_then(Raw::table).into_iter().flatten() {
        let operation = problems.choice(outcome, command, &commands);
        let fault = problems.choice(outcome, outcome.text().unwrap_or_default(), &outcomes);
        after.extend(operation.zip(fault));
    }
    after
}

/// The rules, each with those that follow it.
fn linked(mut rules: Vec<RequestRule>, problems: &mut Problems) -> Vec<RequestRule> {
    for index in 0..rules.len() {
        let (before, rest) = rules.split_at_mut(index);
        let Some(rule) = rest.first() else { continue };
        if !rule.after.is_empty() && rule.frames.len() != 1 {
            let text = "after: a request that follows another one has one frame";
            problems.add(Problem::error(rule.place.clone(), text));
        }
        for (operation, fault) in &rule.after {
            let is_it =
                |other: &&mut RequestRule| other.name == rule.name && other.operation == *operation;
            match before.iter_mut().find(is_it) {
                Some(other) => other.follow_ups.push(FollowUp { rule: index, fault: *fault }),
                None => {
                    let command = operation.name();
                    let text = format!("after: no request {command} of this name stands before it");
                    problems.add(Problem::error(rule.place.clone(), text));
                }
            }
        }
    }
    rules
}

fn empty_plan(empty: Option<&Empty>) -> impl Iterator<Item = &Plan> {
    empty.into_iter().filter_map(|empty| match empty {
        Empty::Frame(plan) => Some(plan),
        Empty::Outcome(_) => None,
    })
}

/// True if a slot of a plan fulfils a condition.
fn uses(plan: &Plan, wanted: &dyn Fn(&Slot) -> bool) -> bool {
    match plan {
        Plan::Constant(..) => false,
        Plan::Slot(slot) => wanted(slot),
        Plan::Text(parts) => parts.iter().any(|part| match part {
            TextPlan::Slot(slot) => wanted(slot),
            TextPlan::Literal(_) => false,
        }),
        Plan::Object(members) => members.iter().any(|member| uses(&member.plan, wanted)),
        Plan::Fixed(items) => items.iter().any(|item| uses(item, wanted)),
        Plan::List(list) => {
            wanted(&list.slot)
                || list.before.iter().any(|plan| uses(plan, wanted))
                || uses(&list.item, wanted)
        }
    }
}

/// The key on the wire of each field of the command.
fn keys(plan: &Plan) -> HashMap<&'static str, String> {
    fn collect(plan: &Plan, key: &str, keys: &mut HashMap<&'static str, String>) {
        match plan {
            Plan::Slot(slot) => {
                let name = match slot.source {
                    SlotSource::Scope(_) => slot.path.first().copied(),
                    SlotSource::Token => Some("token"),
                    SlotSource::Me if slot.path == ["login"] => Some("me.login"),
                    SlotSource::Me => Some("me.id"),
                    _ => None,
                };
                if let Some(name) = name {
                    keys.entry(name).or_insert_with(|| key.to_owned());
                }
            }
            Plan::Object(members) => {
                members.iter().for_each(|member| collect(&member.plan, &member.keys[0], keys));
            }
            Plan::Fixed(items) => items.iter().for_each(|item| collect(item, key, keys)),
            Plan::List(list) => {
                if let Some(name) = list.slot.path.first() {
                    keys.entry(name).or_insert_with(|| key.to_owned());
                }
                collect(&list.item, key, keys);
            }
            Plan::Constant(..) | Plan::Text(_) => {}
        }
    }
    let mut all = HashMap::new();
    collect(plan, "", &mut all);
    all
}
