//! What Go checks and does with a template's tree that the template engine does not: functions and variables must be
//! known when it is parsed, and a missing key of a map of texts is the empty text.

use gotmpl::parse::{BranchNode, CommandNode, Expr, ListNode, Node, PipeNode, Pos, SmolStr};

/// The function that reads fields; no template can name it.
pub(super) const FIELD: &str = "__field";
/// The function that writes a value as Go does; no template can name it.
pub(super) const SHOW: &str = "__show";

/// Deeper trees are refused, so that walking them is bounded.
const MAX_DEPTH: usize = 64;

/// Checks a tree and puts [`FIELD`] where fields are read and [`SHOW`] where values are written.
pub(super) struct Walk<'a> {
    /// Whether a function of this name exists.
    pub(super) is_function: &'a dyn Fn(&str) -> bool,
    /// The functions that were seen.
    pub(super) used: std::collections::BTreeSet<String>,
    variables: Vec<SmolStr>,
    depth: usize,
}

type Checked = Result<(), String>;

impl<'a> Walk<'a> {
    pub(super) fn new(is_function: &'a dyn Fn(&str) -> bool) -> Self {
        Self { is_function, used: std::collections::BTreeSet::new(), variables: Vec::new(), depth: 0 }
    }

    /// A whole template: only `$` is there at its start.
    pub(super) fn template(&mut self, list: &mut ListNode) -> Checked {
        self.variables = vec![SmolStr::new_static("$")];
        self.list(list)
    }

    fn list(&mut self, list: &mut ListNode) -> Checked {
        if self.depth >= MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        for node in &mut list.nodes {
            self.node(node)?;
        }
        self.depth -= 1;
        Ok(())
    }

    fn node(&mut self, node: &mut Node) -> Checked {
        match node {
            Node::List(list) => self.list(list),
            Node::Action(action) => {
                self.pipe(&mut action.pipe)?;
                if action.pipe.decl.is_empty() {
                    action.pipe.commands.push(show(action.pos));
                }
                Ok(())
            }
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => self.branch(branch),
            Node::Template(template) => template.pipe.as_mut().map_or(Ok(()), |pipe| self.pipe(pipe)),
            Node::Define(define) => {
                let outer = std::mem::take(&mut self.variables);
                self.template(&mut define.body)?;
                self.variables = outer;
                Ok(())
            }
            Node::Text(_) | Node::Break(_) | Node::Continue(_) => Ok(()),
        }
    }

    fn branch(&mut self, branch: &mut BranchNode) -> Checked {
        let known = self.variables.len();
        self.pipe(&mut branch.pipe)?;
        let inside = self.variables.len();
        self.list(&mut branch.body)?;
        self.variables.truncate(inside);
        if let Some(body) = &mut branch.else_body {
            self.list(body)?;
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn pipe(&mut self, pipe: &mut PipeNode) -> Checked {
        if self.depth >= MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        self.depth += 1;
        for command in &mut pipe.commands {
            for arg in &mut command.args {
                self.expr(arg)?;
            }
        }
        show_printed(pipe);
        self.depth -= 1;
        for name in &pipe.decl {
            if pipe.is_assign {
                self.variable(name)?;
            } else {
                self.variables.push(name.clone());
            }
        }
        Ok(())
    }

    fn variable(&self, name: &SmolStr) -> Checked {
        if self.variables.contains(name) {
            Ok(())
        } else {
            Err(format!("undefined variable {:?}", name.as_str()))
        }
    }

    fn expr(&mut self, expr: &mut Expr) -> Checked {
        match expr {
            Expr::Identifier(_, name) => self.function(name),
            Expr::Pipe(_, pipe) => self.pipe(pipe),
            Expr::Variable(pos, name, fields) => {
                self.variable(name)?;
                if !fields.is_empty() {
                    let (pos, fields) = (*pos, std::mem::take(fields));
                    *expr = field(pos, Expr::Variable(pos, name.clone(), Vec::new()), &fields);
                }
                Ok(())
            }
            Expr::Field(pos, fields) => {
                *expr = field(*pos, Expr::Dot(*pos), fields);
                Ok(())
            }
            Expr::Chain(pos, inner, fields) => {
                self.expr(inner)?;
                *expr = field(*pos, (**inner).clone(), fields);
                Ok(())
            }
            Expr::Dot(_) | Expr::String(..) | Expr::Number(..) | Expr::Bool(..) | Expr::Nil(_) => Ok(()),
        }
    }

    fn function(&mut self, name: &SmolStr) -> Checked {
        if !(self.is_function)(name) {
            return Err(format!("function {:?} not defined", name.as_str()));
        }
        self.used.insert(name.to_string());
        Ok(())
    }
}

fn show(pos: Pos) -> CommandNode {
    CommandNode { pos, args: vec![Expr::Identifier(pos, SmolStr::new_static(SHOW))] }
}

/// Where `printf` has `%v`, its argument is written as Go writes it.
fn show_printed(pipe: &mut PipeNode) {
    let mut index = 0;
    while index < pipe.commands.len() {
        let (pos, args) = (pipe.commands[index].pos, &mut pipe.commands[index].args);
        let mut piped = false;
        if let [Expr::Identifier(_, name), Expr::String(_, format), values @ ..] = args.as_mut_slice()
            && name.as_str() == "printf"
        {
            for (at, _) in verbs(format).into_iter().enumerate().filter(|(_, verb)| *verb == 'v') {
                match values.get_mut(at) {
                    Some(value) => {
                        let inner = CommandNode { pos, args: vec![value.clone()] };
                        let commands = vec![inner, show(pos)];
                        let shown = PipeNode { pos, decl: Vec::new(), commands, is_assign: false };
                        *value = Expr::Pipe(pos, shown);
                    }
                    None => piped = index > 0 && at == values.len(),
                }
            }
        }
        if piped {
            pipe.commands.insert(index, show(pos));
            index += 1;
        }
        index += 1;
    }
}

/// The letters of a format's verbs.
fn verbs(format: &str) -> Vec<char> {
    let mut found = Vec::new();
    let mut letters = format.chars();
    while let Some(letter) = letters.next() {
        if letter == '%'
            && let Some(verb) =
                letters.find(|letter| !matches!(letter, '0'..='9' | '.' | '+' | '-' | ' ' | '#'))
            && verb != '%'
        {
            found.push(verb);
        }
    }
    found
}

/// `(__field value "a" "b")`.
fn field(pos: Pos, value: Expr, fields: &[SmolStr]) -> Expr {
    let mut args = vec![Expr::Identifier(pos, SmolStr::new_static(FIELD)), value];
    args.extend(fields.iter().map(|field| Expr::String(pos, field.as_str().into())));
    let commands = vec![CommandNode { pos, args }];
    Expr::Pipe(pos, PipeNode { pos, decl: Vec::new(), commands, is_assign: false })
}
