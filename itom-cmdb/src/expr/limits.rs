//! Bounds on expressions, and which names they use.

use std::collections::BTreeSet;

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use super::ExpressionError;

/// Most bytes of a text.
const MAX_TEXT: usize = 4096;
/// Most comprehensions (`all`, `exists`, `map`, `filter`) within each other: each one multiplies the work.
const MAX_LOOPS: usize = 3;
/// Most brackets within each other. The parser descends on the stack.
const MAX_BRACKETS: usize = 32;
/// Most operators in a row without brackets; a chain of them is a tree as deep.
const MAX_DEPTH: usize = 200;

pub(super) fn cut(text: &str) -> String {
    text.chars().take(200).collect()
}

fn too_large(text: &str, what: &'static str, limit: usize) -> ExpressionError {
    ExpressionError::TooLarge { expression: cut(text), what, limit }
}

/// What must hold before the text is given to the parser.
pub(super) fn check_text(text: &str) -> Result<(), ExpressionError> {
    if text.len() > MAX_TEXT {
        return Err(too_large(text, "bytes", MAX_TEXT));
    }
    // Signs and negations nest without brackets, and `?` and `:` do as well: all of them count as depth.
    let (mut open, mut signs, mut choices) = (0_usize, 0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => open += 1,
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            b'!' | b'-' => signs += 1,
            b'?' => choices += 1,
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            _ => signs = 0,
        }
        if open > MAX_BRACKETS || choices > MAX_BRACKETS {
            return Err(too_large(text, "brackets within each other", MAX_BRACKETS));
        }
        if signs > MAX_BRACKETS {
            return Err(too_large(text, "signs in a row", MAX_BRACKETS));
        }
    }
    Ok(())
}

/// Every node with how many nodes and loops are above it; stops where `visit` says so.
fn walk<'a>(root: &'a IdedExpr, visit: &mut dyn FnMut(&'a Expr, usize, usize) -> bool) {
    let mut open = vec![(root, 0_usize, 0_usize)];
    while let Some((node, depth, loops)) = open.pop() {
        if !visit(&node.expr, depth, loops) {
            return;
        }
        let below = depth + 1;
        let mut push = |child: &'a IdedExpr| open.push((child, below, loops));
        match &node.expr {
            Expr::Call(call) => {
                call.target.iter().for_each(|target| push(target));
                call.args.iter().for_each(push);
            }
            Expr::List(list) => list.elements.iter().for_each(push),
            Expr::Select(select) => push(&select.operand),
            Expr::Map(map) => map.entries.iter().for_each(|entry| entry_of(&entry.expr, &mut push)),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| entry_of(&entry.expr, &mut push)),
            Expr::Comprehension(loop_) => {
                push(&loop_.iter_range);
                for child in [&loop_.accu_init, &loop_.loop_cond, &loop_.loop_step, &loop_.result] {
                    open.push((child, below, loops + 1));
                }
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }
}

fn entry_of<'a>(entry: &'a EntryExpr, push: &mut dyn FnMut(&'a IdedExpr)) {
    match entry {
        EntryExpr::StructField(field) => push(&field.value),
        EntryExpr::MapEntry(pair) => {
            push(&pair.key);
            push(&pair.value);
        }
    }
}

/// What must hold before the tree is run.
pub(super) fn check_tree(text: &str, root: &IdedExpr) -> Result<(), ExpressionError> {
    let mut refused = None;
    walk(root, &mut |node, depth, loops| {
        if depth > MAX_DEPTH {
            refused = Some(too_large(text, "operators within each other", MAX_DEPTH));
        } else if loops >= MAX_LOOPS && matches!(node, Expr::Comprehension(_)) {
            refused = Some(too_large(text, "loops within each other", MAX_LOOPS));
        }
        refused.is_none()
    });
    refused.map_or(Ok(()), Err)
}

/// The names that are used and not bound by a loop, sorted.
pub(super) fn free_names(root: &IdedExpr) -> BTreeSet<String> {
    let mut bound = BTreeSet::new();
    let mut used = BTreeSet::new();
    walk(root, &mut |node, _, _| {
        match node {
            Expr::Ident(name) => {
                used.insert(name.clone());
            }
            Expr::Comprehension(loop_) => {
                bound.insert(loop_.iter_var.clone());
                bound.insert(loop_.accu_var.clone());
                bound.extend(loop_.iter_var2.clone());
            }
            _ => {}
        }
        true
    });
    // A loop's name hides one outside of it: what is bound anywhere is taken as bound, except for our own names.
    used.retain(|name| !bound.contains(name) || super::scope::NAMES.contains(&name.as_str()));
    used.retain(|name| !is_built_in(name));
    used
}

/// The functions that are called, sorted; operators are among them.
pub(super) fn functions(root: &IdedExpr) -> BTreeSet<String> {
    let mut called = BTreeSet::new();
    walk(root, &mut |node, _, _| {
        if let Expr::Call(call) = node {
            called.insert(call.func_name.clone());
        }
        true
    });
    called
}

/// What the language itself has: operators, type names, and the standard functions of this build.
pub(super) fn is_built_in(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "bool",
        "bytes",
        "double",
        "dyn",
        "int",
        "list",
        "map",
        "null_type",
        "string",
        "type",
        "uint",
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "min",
        "max",
        "optional",
    ];
    // Operators have names with characters that no identifier has, or begin with `_` or `@`.
    NAMES.contains(&name) || name.starts_with(['_', '@', '!', '-'])
}
