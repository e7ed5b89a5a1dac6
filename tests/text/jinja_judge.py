#!/usr/bin/env python3
"""Renders every template case with Python's jinja2, set up as Hugging Face's transformers sets it up, and writes
what it says to tests/data/jinja_cases.json, which the C++ test reads. Run it after changing a case:

    python3 tests/text/jinja_judge.py            # writes the file
    python3 tests/text/jinja_judge.py --check    # fails when jinja2 now says otherwise than the file

Needs jinja2 (3.1); --check leaves with 77, which means skipped, where there is none.
"""
import copy
import datetime
import json
import pathlib
import sys
import warnings

try:
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    import jinja2.sandbox
except ImportError:
    print("skipped: python3 has no jinja2")
    sys.exit(77)

import jinja_cases_builtins
import jinja_cases_language
import jinja_cases_models
import jinja_cases_random

NOW = datetime.datetime(2025, 3, 9, 14, 5, 7)  # 1741529107 s after the epoch, in UTC
warnings.simplefilter("ignore", SyntaxWarning)  # random templates call and index what cannot be
DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "jinja_cases.json"


class GenerationTag(jinja2.ext.Extension):
    """{% generation %} ... {% endgeneration %}: the body, in a scope of its own."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def verdict(template, context):
    try:
        return {"output": environment().from_string(template).render(**copy.deepcopy(context))}
    except Exception as error:  # whatever Python raises is a refusal
        return {"error": type(error).__name__, "message": str(error)}


def place_of(item, items):
    if item not in items:
        items.append(item)
    return items.index(item)


def all_cases():
    """Templates and contexts are shared by many cases, so a case names them by their place."""
    templates, contexts, cases = [], [], []
    for group in (jinja_cases_language, jinja_cases_builtins, jinja_cases_models, jinja_cases_random):
        for name, template, context in group.cases():
            result = verdict(template, context)
            if "0x" in result.get("output", ""):
                continue  # an object's address, which no one can promise
            case = {"name": name, "template": place_of(template, templates), "context": place_of(context, contexts)}
            cases.append({**case, **result})
    assert len({case["name"] for case in cases}) == len(cases)
    return {"templates": templates, "contexts": contexts, "cases": cases}


def lines(items):
    return ",\n".join(json.dumps(item, ensure_ascii=False) for item in items)


def outputs(judged):
    """Without the words of errors, which change with Python's version."""
    return {case["name"]: (judged["templates"][case["template"]], case.get("output")) for case in judged["cases"]}


def main():
    judged = all_cases()
    if "--check" in sys.argv:
        written, now = outputs(json.loads(DATA.read_text())), outputs(judged)
        differing = [name for name in {**written, **now} if written.get(name) != now.get(name)]
        if differing:
            sys.exit(f"{DATA} is not what jinja2 {jinja2.__version__} says of: {differing[:10]}")
        print(f"{len(now)} cases as jinja2 {jinja2.__version__} has them")
        return
    DATA.write_text("{\n" + ",\n".join(f'"{key}": [\n{lines(items)}\n]' for key, items in judged.items()) + "\n}\n")
    print(f"{DATA}: {len(judged['cases'])} cases, jinja2 {jinja2.__version__}")


if __name__ == "__main__":
    main()
