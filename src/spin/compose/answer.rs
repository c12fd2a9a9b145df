//! What a function that is not permitted answers: a value of its result's type that says no, laid out in memory as the
//! canonical ABI wants it.

use wit_parser::{Resolve, SizeAlign, Type, TypeDefKind};

/// Answers, one after the other, as they lie in the memory of the module that gives them.
pub(super) struct Answers<'a> {
    resolve: &'a Resolve,
    sizes: &'a SizeAlign,
    bytes: Vec<u8>,
    steps: usize,
}

/// There is more to lay out than any interface needs.
#[derive(Debug, thiserror::Error)]
#[error("its types are too large")]
pub(super) struct TooLarge;

impl<'a> Answers<'a> {
    pub(super) fn new(resolve: &'a Resolve, sizes: &'a SizeAlign) -> Self {
        Self { resolve, sizes, bytes: Vec::new(), steps: 0 }
    }

    /// Adds the answer of a function of `interface` that returns `ty`, and returns its address; none where no value of
    /// the type says no. `message` is what it says where it can say something.
    pub(super) fn add(&mut self, interface: &str, ty: &Type, message: &str) -> Result<Option<u32>, TooLarge> {
        let start = self.bytes.len();
        let at = self.reserve(self.size(ty), self.sizes.align(ty).align_wasm32())?;
        let denial = Denial { case: preferred(interface), message };
        if self.deny(ty, at, &denial)? {
            return Ok(Some(address(at)));
        }
        self.bytes.truncate(start);
        Ok(None)
    }

    /// Returns the memory, and where it starts.
    pub(super) fn into_memory(self) -> (u32, Vec<u8>) {
        (BASE, self.bytes)
    }

    /// Reads the answer of `size` bytes at `address` as a number, for functions that return it as one.
    pub(super) fn number(&self, address: u32, ty: &Type) -> i64 {
        let start = (address - BASE) as usize;
        let bytes = &self.bytes[start..start + self.size(ty).min(8)];
        bytes.iter().rev().fold(0, |number, byte| (number << 8) | i64::from(*byte))
    }

    /// Writes an answer that says no: the error of a `result`, none of an `option`, an empty list, or several of these.
    fn deny(&mut self, ty: &Type, at: usize, denial: &Denial<'_>) -> Result<bool, TooLarge> {
        self.step()?;
        let Type::Id(id) = ty else { return Ok(false) };
        let resolve = self.resolve;
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.deny(ty, at, denial),
            TypeDefKind::Option(_) => Ok(true),
            TypeDefKind::List(_) | TypeDefKind::Map(..) => {
                self.write_list(at, BASE, 0);
                Ok(true)
            }
            TypeDefKind::Result(result) => {
                self.bytes[at] = 1;
                let cases = [result.ok.as_ref(), result.err.as_ref()];
                let at = at + self.sizes.payload_offset(wit_parser::Int::U8, cases).size_wasm32();
                result.err.as_ref().map_or(Ok(true), |ty| self.refuse(ty, at, denial))
            }
            TypeDefKind::Record(record) => {
                self.all(record.fields.iter().map(|field| &field.ty), at, |this, ty, at| this.deny(ty, at, denial))
            }
            TypeDefKind::Tuple(tuple) => self.all(tuple.types.iter(), at, |this, ty, at| this.deny(ty, at, denial)),
            _ => Ok(false),
        }
    }

    /// Writes the error that means "not permitted", or the nearest to it.
    fn refuse(&mut self, ty: &Type, at: usize, denial: &Denial<'_>) -> Result<bool, TooLarge> {
        self.step()?;
        let Type::Id(id) = ty else { return self.fill(ty, at, denial) };
        let resolve = self.resolve;
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.refuse(ty, at, denial),
            TypeDefKind::Enum(kind) => {
                let names: Vec<&str> = kind.cases.iter().map(|case| case.name.as_str()).collect();
                let Some(case) = ranked(&names, denial.case).next() else { return Ok(false) };
                self.write_case(at, kind.tag(), case);
                Ok(true)
            }
            TypeDefKind::Variant(variant) => {
                let names: Vec<&str> = variant.cases.iter().map(|case| case.name.as_str()).collect();
                for case in ranked(&names, denial.case) {
                    if self.write_variant(ty, variant, case, at, denial)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            _ => self.fill(ty, at, denial),
        }
    }

    /// Writes any value, for what goes along with an error: the message for a text, nothing, zero, the first case.
    fn fill(&mut self, ty: &Type, at: usize, denial: &Denial<'_>) -> Result<bool, TooLarge> {
        self.step()?;
        let id = match ty {
            Type::String => {
                let text = self.reserve(denial.message.len(), 1)?;
                self.bytes[text..text + denial.message.len()].copy_from_slice(denial.message.as_bytes());
                self.write_list(at, address(text), denial.message.len());
                return Ok(true);
            }
            Type::ErrorContext => return Ok(false),
            Type::Id(id) => id,
            // Zero is what the memory is already, and it is a value of all numbers, `bool` and `char`.
            _ => return Ok(true),
        };
        let resolve = self.resolve;
        match &resolve.types[*id].kind {
            TypeDefKind::Type(ty) => self.fill(ty, at, denial),
            TypeDefKind::Flags(_) | TypeDefKind::Enum(_) => Ok(true),
            TypeDefKind::Option(inner) => match inner {
                // Who tells more, tells it.
                Type::String => {
                    self.bytes[at] = 1;
                    let payload = self.sizes.payload_offset(wit_parser::Int::U8, [None, Some(inner)]);
                    self.fill(inner, at + payload.size_wasm32(), denial)
                }
                _ => Ok(true),
            },
            TypeDefKind::Variant(variant) => {
                for case in 0..variant.cases.len() {
                    if self.write_variant(ty, variant, case, at, denial)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            TypeDefKind::Record(record) => {
                self.all(record.fields.iter().map(|field| &field.ty), at, |this, ty, at| this.fill(ty, at, denial))
            }
            TypeDefKind::Tuple(tuple) => self.all(tuple.types.iter(), at, |this, ty, at| this.fill(ty, at, denial)),
            // Handles, futures and streams cannot be made of nothing.
            TypeDefKind::Handle(_) | TypeDefKind::Future(_) | TypeDefKind::Stream(_) | TypeDefKind::Resource => {
                Ok(false)
            }
            _ => self.deny(ty, at, denial),
        }
    }

    /// Writes the fields of a record, where all of them can be written.
    fn all<'t>(
        &mut self,
        fields: impl Iterator<Item = &'t Type>,
        at: usize,
        mut write: impl FnMut(&mut Self, &Type, usize) -> Result<bool, TooLarge>,
    ) -> Result<bool, TooLarge> {
        for (offset, ty) in self.sizes.field_offsets(fields) {
            if !write(self, ty, at + offset.size_wasm32())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes a case and what goes along with it, over what another case may have left.
    fn write_variant(
        &mut self,
        ty: &Type,
        variant: &wit_parser::Variant,
        case: usize,
        at: usize,
        denial: &Denial<'_>,
    ) -> Result<bool, TooLarge> {
        let size = self.size(ty);
        self.bytes[at..at + size].fill(0);
        self.write_case(at, variant.tag(), case);
        let payloads = variant.cases.iter().map(|case| case.ty.as_ref());
        let payload = at + self.sizes.payload_offset(variant.tag(), payloads).size_wasm32();
        variant.cases[case].ty.as_ref().map_or(Ok(true), |ty| self.fill(ty, payload, denial))
    }

    fn write_case(&mut self, at: usize, tag: wit_parser::Int, case: usize) {
        let length = match tag {
            wit_parser::Int::U8 => 1,
            wit_parser::Int::U16 => 2,
            wit_parser::Int::U32 | wit_parser::Int::U64 => 4,
        };
        self.bytes[at..at + length].copy_from_slice(&case.to_le_bytes()[..length]);
    }

    fn write_list(&mut self, at: usize, address: u32, length: usize) {
        self.bytes[at..at + 4].copy_from_slice(&address.to_le_bytes());
        self.bytes[at + 4..at + 8].copy_from_slice(&length.to_le_bytes()[..4]);
    }

    fn size(&self, ty: &Type) -> usize {
        self.sizes.size(ty).size_wasm32()
    }

    /// Makes room, zeroed.
    fn reserve(&mut self, size: usize, align: usize) -> Result<usize, TooLarge> {
        let start = self.bytes.len().next_multiple_of(align);
        let end = start.checked_add(size).filter(|end| *end <= MAX_MEMORY).ok_or(TooLarge)?;
        self.bytes.resize(end, 0);
        Ok(start)
    }

    fn step(&mut self) -> Result<(), TooLarge> {
        self.steps += 1;
        if self.steps > MAX_STEPS { Err(TooLarge) } else { Ok(()) }
    }
}

/// How something is denied.
struct Denial<'a> {
    /// The case of an error that means it, where the interface is known.
    case: Option<&'static str>,
    message: &'a str,
}

fn address(at: usize) -> u32 {
    BASE + u32::try_from(at).expect("answers are bounded")
}

/// Returns the case by which a known interface says "not permitted".
fn preferred(interface: &str) -> Option<&'static str> {
    let (name, version) = interface.split_once('@').unwrap_or((interface, ""));
    let found = CASES.iter().find(|(pattern, since, _)| {
        let named = pattern.strip_suffix('*').map_or(name == *pattern, |package| name.starts_with(package));
        named && version.starts_with(since)
    });
    found.map(|(_, _, case)| *case)
}

/// Returns the indices of cases, the best first: the preferred one, those whose name means it, the last before the
/// first. What is no error at all is not among them.
fn ranked(names: &[&str], preferred: Option<&'static str>) -> impl Iterator<Item = usize> + use<> {
    let known = preferred.into_iter().chain(MEANINGS.iter().copied());
    let mut order: Vec<usize> = known.filter_map(|case| names.iter().position(|name| *name == case)).collect();
    order.extend((0..names.len()).rev().filter(|case| !["success", "ok", "none"].contains(&names[*case])));
    order.into_iter()
}

/// Interface, what its version starts with, and the case of its error that means "not permitted", or says the message.
const CASES: &[(&str, &str, &str)] = &[
    ("fermyon:spin/config", "", "other"),
    ("fermyon:spin/http", "", "destination-not-allowed"),
    ("fermyon:spin/key-value", "", "access-denied"),
    ("fermyon:spin/llm", "", "runtime-error"),
    ("fermyon:spin/mqtt", "", "other"),
    ("fermyon:spin/mysql", "2", "other"),
    ("fermyon:spin/mysql", "", "other-error"),
    ("fermyon:spin/postgres", "2", "other"),
    ("fermyon:spin/postgres", "", "other-error"),
    ("fermyon:spin/redis", "2", "other"),
    ("fermyon:spin/redis", "", "error"),
    ("fermyon:spin/sqlite", "", "access-denied"),
    ("fermyon:spin/variables", "", "other"),
    ("spin:key-value/*", "", "access-denied"),
    ("spin:mqtt/*", "", "other"),
    ("spin:mysql/*", "", "other"),
    ("spin:postgres/*", "", "other"),
    ("spin:redis/*", "", "other"),
    ("spin:sqlite/*", "", "access-denied"),
    ("spin:variables/*", "", "other"),
    ("wasi:config/*", "", "upstream"),
    ("wasi:filesystem/*", "", "not-permitted"),
    ("wasi:http/*", "", "HTTP-request-denied"),
    ("wasi:keyvalue/*", "", "access-denied"),
    ("wasi:sockets/*", "", "access-denied"),
];

/// Names of cases that mean "not permitted" in interfaces that nobody has heard of, then those that say anything.
const MEANINGS: &[&str] = &[
    "not-permitted",
    "access-denied",
    "permission-denied",
    "not-allowed",
    "denied",
    "forbidden",
    "unauthorized",
    "other",
    "other-error",
    "internal-error",
    "error",
];

/// Where answers start in memory: nothing lies at address 0, and everything is aligned to this.
const BASE: u32 = 16;
/// How many bytes all answers may have.
const MAX_MEMORY: usize = 16 << 20;
/// How many values all answers may consist of.
const MAX_STEPS: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use wit_parser::InterfaceId;

    use super::*;

    const HOSTS: &str = include_str!("../../../fixtures/spin/wit/hosts.wit");

    struct Hosts {
        resolve: Resolve,
        sizes: SizeAlign,
    }

    impl Hosts {
        fn new() -> Self {
            let (mut resolve, mut sizes) = (Resolve::default(), SizeAlign::default());
            resolve.push_source("hosts.wit", HOSTS).expect("WIT");
            sizes.fill(&resolve);
            Self { resolve, sizes }
        }

        fn interface(&self, name: &str) -> InterfaceId {
            let mut interfaces = self.resolve.interfaces.iter();
            let found = interfaces.find(|(id, _)| self.resolve.id_of(*id).as_deref() == Some(name));
            found.unwrap_or_else(|| panic!("{name}")).0
        }

        /// Returns what a function answers, as text; none where it does not answer.
        fn answer(&self, interface: &str, function: &str) -> Option<String> {
            let ty = self.resolve.interfaces[self.interface(interface)].functions[function].result.expect("a result");
            let mut answers = Answers::new(&self.resolve, &self.sizes);
            let address = answers.add(interface, &ty, "no").expect("a small type")?;
            let (base, memory) = answers.into_memory();
            Some(self.text(&ty, &memory, (address - base) as usize))
        }

        fn text(&self, ty: &Type, memory: &[u8], at: usize) -> String {
            let number = |at: usize| u32::from_le_bytes(memory[at..at + 4].try_into().expect("four bytes")) as usize;
            let case = |name: &str, ty: Option<&Type>, at: usize| match ty {
                Some(ty) => format!("{name}({})", self.text(ty, memory, at)),
                None => name.to_owned(),
            };
            let id = match ty {
                Type::String => {
                    let start = number(at) - BASE as usize;
                    return String::from_utf8(memory[start..start + number(at + 4)].to_vec()).expect("text");
                }
                Type::Id(id) => id,
                _ => return memory[at].to_string(),
            };
            let payload =
                |tag, cases: &[Option<&Type>]| at + self.sizes.payload_offset(tag, cases.iter().copied()).size_wasm32();
            let fields = |types: Vec<&Type>| {
                let fields = self.sizes.field_offsets(types).into_iter();
                let fields = fields.map(|(offset, ty)| self.text(ty, memory, at + offset.size_wasm32()));
                format!("({})", fields.collect::<Vec<_>>().join(", "))
            };
            match &self.resolve.types[*id].kind {
                TypeDefKind::Type(ty) => self.text(ty, memory, at),
                TypeDefKind::List(_) => {
                    assert_eq!((number(at) % 16, number(at + 4)), (0, 0), "an aligned list without elements");
                    "[]".to_owned()
                }
                TypeDefKind::Option(ty) => {
                    case(["none", "some"][memory[at] as usize], Some(ty).filter(|_| memory[at] == 1), {
                        payload(wit_parser::Int::U8, &[None, Some(ty)])
                    })
                }
                TypeDefKind::Result(result) => {
                    assert_eq!(memory[at], 1);
                    let cases = [result.ok.as_ref(), result.err.as_ref()];
                    case("err", result.err.as_ref(), payload(wit_parser::Int::U8, &cases))
                }
                TypeDefKind::Enum(kind) => kind.cases[memory[at] as usize].name.clone(),
                TypeDefKind::Variant(variant) => {
                    let cases: Vec<_> = variant.cases.iter().map(|case| case.ty.as_ref()).collect();
                    let chosen = &variant.cases[memory[at] as usize];
                    case(&chosen.name, chosen.ty.as_ref(), payload(variant.tag(), &cases))
                }
                TypeDefKind::Record(record) => fields(record.fields.iter().map(|field| &field.ty).collect()),
                TypeDefKind::Tuple(tuple) => fields(tuple.types.iter().collect()),
                TypeDefKind::Flags(_) => "flags".to_owned(),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_interface_says_no_in_its_own_way() {
        let hosts = Hosts::new();
        for (interface, function, expected) in [
            ("wasi:cli/environment@0.2.6", "get-environment", Some("[]")),
            ("wasi:cli/environment@0.2.6", "initial-cwd", Some("none")),
            ("wasi:filesystem/preopens@0.2.6", "get-directories", Some("[]")),
            ("wasi:http/outgoing-handler@0.2.6", "handle", Some("err(HTTP-request-denied)")),
            ("wasi:sockets/tcp-create-socket@0.2.6", "create-tcp-socket", Some("err(access-denied)")),
            ("wasi:sockets/tcp@0.2.6", "[method]tcp-socket.subscribe", None),
            ("wasi:sockets/ip-name-lookup@0.2.6", "resolve-addresses", Some("err(access-denied)")),
            ("wasi:keyvalue/store@0.2.0-draft2", "open", Some("err(access-denied)")),
            ("wasi:keyvalue/batch@0.2.0-draft2", "get-many", Some("err(access-denied)")),
            ("wasi:config/store@0.2.0-draft-2024-09-27", "get", Some("err(upstream(no))")),
            ("fermyon:spin/http", "send-request", Some("err(destination-not-allowed)")),
            ("fermyon:spin/llm", "infer", Some("err(runtime-error(no))")),
            ("fermyon:spin/redis", "get", Some("err(error)")),
            ("fermyon:spin/mysql", "execute", Some("err(other-error(no))")),
            ("fermyon:spin/config", "get-config", Some("err(other(no))")),
            ("fermyon:spin/key-value@2.0.0", "[static]store.open", Some("err(access-denied)")),
            ("fermyon:spin/mysql@2.0.0", "[static]connection.open", Some("err(other(no))")),
            ("fermyon:spin/variables@2.0.0", "get", Some("err(other(no))")),
            ("spin:redis/redis@3.0.0", "[static]connection.open", Some("err(other(no))")),
            ("spin:postgres/postgres@4.2.0", "[static]connection.open", Some("err(other(no))")),
            ("spin:sqlite/sqlite@3.1.0", "[static]connection.open", Some("err(access-denied)")),
            ("spin:sqlite/sqlite@3.1.0", "[method]connection.changes", None),
            ("acme:vault/vault@1.0.0", "weight", None),
            ("acme:vault/vault@1.0.0", "list-names", Some("([], none)")),
            ("acme:vault/vault@1.0.0", "open", Some("err(no)")),
            ("acme:vault/vault@1.0.0", "close", Some("err")),
            ("acme:vault/vault@1.0.0", "drop-all", Some("err(flags)")),
        ] {
            assert_eq!(hosts.answer(interface, function).as_deref(), expected, "{interface}#{function}");
        }
    }

    #[test]
    fn cases_are_ranked_by_what_they_mean() {
        for (names, preferred, expected) in [
            (&["a", "access-denied", "other"][..], None, &[1, 2, 2, 1, 0][..]),
            (&["success", "a", "b"], None, &[2, 1]),
            (&["upstream", "io"], Some("upstream"), &[0, 1, 0]),
            (&["success"], None, &[]),
        ] {
            assert_eq!(ranked(names, preferred).collect::<Vec<_>>(), expected, "{names:?}");
        }
    }

    #[test]
    fn answers_are_bounded() {
        let mut text = "package a:b; interface c { record r0 { a: u64, b: u64 }\n".to_owned();
        for level in 1..24 {
            text.push_str(&format!("record r{level} {{ a: r{0}, b: r{0} }}\n", level - 1));
        }
        text.push_str("f: func() -> result<_, r23>; }");
        let (mut resolve, mut sizes) = (Resolve::default(), SizeAlign::default());
        resolve.push_source("large.wit", &text).expect("WIT");
        sizes.fill(&resolve);
        let (_, interface) = resolve.interfaces.iter().next().expect("an interface");
        let ty = interface.functions["f"].result.expect("a result");
        assert!(Answers::new(&resolve, &sizes).add("a:b/c", &ty, "no").is_err());
    }
}
