"""Random templates from a grammar, the same ones each time: expressions and statements nobody would think of."""
import os
import random

from jinja_cases_language import CONTEXT

NAMES = ["a", "b", "f", "neg", "t", "n", "s", "empty", "u", "l", "ls", "nested", "d", "users", "missing"]
LITERALS = ["0", "1", "2", "-1", "3.5", "1e2", "'x'", "'ab c'", "''", "'1'", "true", "false", "none", "[]", "[1, 2]", "(1, 'a')", "{}", "{'x': 1}", "'é☃'", "['b', 'a']", "range(4)"]
FILTERS = ["upper", "lower", "trim", "length", "first", "last", "join", "join('-')", "list", "sort", "reverse", "string", "int", "float", "abs", "round", "round(1)", "min", "max", "sum", "unique", "tojson",
           "default('q')", "d(0, true)", "title", "capitalize", "replace('a', 'b')", "map('string')", "map('upper')", "map(attribute='name')", "select", "reject", "select('string')", "selectattr('name')",
           "items", "batch(2)", "slice(2)", "indent", "wordcount", "e", "dictsort", "groupby('age')", "count", "urlencode", "safe", "truncate(3, true, '')", "center(4)", "select('odd')", "reject('none')", "tojson(indent=1)"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true", "false", "odd", "even", "divisibleby 2", "eq 1", "ne 'x'", "lt 2", "in l", "in 'abc'", "lower", "upper", "callable", "sameas none"]
# Jinja folds slices of constants by another rule than slices of variables, so only names are sliced.
SLICES = ["[1:]", "[::-1]", "[:2]", "[::2]", "[-2:]"]
METHODS = [".upper()", ".strip()", ".split()", ".split('a')", ".items()", ".keys()", ".get('x')", ".title()", ".startswith('a')", ".count('a')", ".find('b')", ".replace('a', 'zz')", ".name", ".x", "[0]", "[-1]", "['x']", ".index(1)", ".isdigit()", ".splitlines()", ".values()", ".join(ls)", ".rsplit(' ', 1)"]
BINARY = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or", "+", "~", "=="]


def expression(rng, depth):
    if depth <= 0 or rng.random() < 0.15:
        return rng.choice(NAMES if rng.random() < 0.6 else LITERALS)
    one = expression(rng, depth - 1)
    kind = rng.randrange(10)
    if kind < 3:
        return f"{one} {rng.choice(BINARY)} {expression(rng, depth - 1)}"
    if kind < 5:
        return f"{one}|{rng.choice(FILTERS)}"
    if kind == 5:
        return f"{one} is {rng.choice(['', 'not '])}{rng.choice(TESTS)}"
    if kind == 6:
        return f"({one}){rng.choice(METHODS)}"
    if kind == 7:
        return rng.choice([f"not {one}", f"-{one}", f"({one})", f"[{one}, {expression(rng, depth - 1)}]", f"{{'k': {one}}}", f"({one},)"])
    if kind == 8:
        return f"({one} if {expression(rng, depth - 1)} else {expression(rng, depth - 1)})"
    return f"{rng.choice(NAMES)}{rng.choice(METHODS + SLICES)}"


def tag(rng, inside):
    return "{%" + rng.choice(["", "", "-", "+"]) + f" {inside} " + rng.choice(["", "", "-"]) + "%}"


def text(rng):
    return rng.choice(["", " ", "\n", "x", " y\n", "\n  ", "z \n\n", "\t"])


def statement(rng, depth):
    body = lambda: text(rng) + "".join(statement(rng, depth - 1) for _ in range(rng.randrange(1, 3))) + text(rng) if depth > 0 else text(rng)
    kind = rng.randrange(9) if depth > 0 else 0
    if kind < 3:
        return "{{" + rng.choice(["", "-"]) + f" {expression(rng, 2)} " + rng.choice(["", "-"]) + "}}"
    if kind == 3:
        return tag(rng, f"if {expression(rng, 2)}") + body() + rng.choice(["", tag(rng, "else") + body()]) + tag(rng, "endif")
    if kind == 4:
        loop = rng.choice(["", "{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}", "{{ loop.previtem }}", "{{ x }}"])
        return tag(rng, f"for x in {expression(rng, 1)}{rng.choice(['', '', ' if x'])}") + body() + loop + rng.choice(["", tag(rng, "else") + body()]) + tag(rng, "endfor")
    if kind == 5:
        return tag(rng, f"set {rng.choice(['x', 'a', 's', 'q'])} = {expression(rng, 2)}")
    if kind == 6:
        return tag(rng, "set q") + body() + tag(rng, "endset") + "{{ q }}"
    if kind == 7:
        return tag(rng, f"macro m(x, y={expression(rng, 1)})") + body() + "{{ x }}{{ y }}" + tag(rng, "endmacro") + "{{ m(" + expression(rng, 1) + ") }}"
    return rng.choice(["{# note #}", "{#- note -#}", tag(rng, "raw") + "{{ x }}" + tag(rng, "endraw"), tag(rng, f"filter {rng.choice(['upper', 'trim', 'length'])}") + body() + tag(rng, "endfilter")])


def cases():
    rng = random.Random(int(os.environ.get("JINJA_CASES_SEED", "20250309")))
    for i in range(int(os.environ.get("JINJA_RANDOM_CASES", "400"))):
        template = "{{ " + expression(rng, 3) + " }}" if i % 2 else "".join(text(rng) + statement(rng, 2) for _ in range(rng.randrange(1, 4)))
        yield f"random {i}", template, CONTEXT
