"""Cases of the language itself: white space, statements, scopes, expressions. Each line is one template, rendered
with CONTEXT; the name is the group and the place in it."""

CONTEXT = {
    "a": 3, "b": 4, "f": 2.5, "big": 10**15, "neg": -7, "t": True, "n": None, "s": "hello", "empty": "", "u": "naïve ☃ 😀",
    "l": [1, 2, 3], "ls": ["b", "a", "C"], "nested": [[1, 2], [3, 4]], "d": {"x": 1, "y": "two", "items": "mine"},
    "users": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25, "tags": []},
              {"name": "Cid", "age": 30, "tags": ["y", "z"]}],
    "tree": [{"v": 1, "kids": [{"v": 2, "kids": []}, {"v": 3, "kids": [{"v": 4, "kids": []}]}]}, {"v": 5, "kids": []}],
}

WHITESPACE = [
    "a{# c #}b", "a\n{# c #}\nb", "a {#- c -#} b", "a {#+ c +#} b", "  {% if true %}\n  x\n  {% endif %}\n y",
    "  {%+ if true %}\n  x\n  {%+ endif %}\n y", "a {%- if true -%} b {%- endif -%} c", "{% if true +%}\nx{% endif +%}\ny",
    "x\n\n", "x\n", "\n\nx", "a\r\nb\rc\n", "{{ 'a' -}}   b", "a   {{- 'b' }}", "a \u00a0{{- 'b' -}}\u3000 c",
    "  {{ 'x' }}\n{{ 'y' }}", "{% raw %}{{ x }}{% if %}{% endraw %}", "a {%- raw -%} {{ b }} {%- endraw -%} c",
    "  {% raw %}\n {{ b }}\n  {% endraw %}\nc", "{#-#}", "{# a\nb #}c", "\t{% set x = 1 %}\n\t{{ x }}\n",
    "{%- for i in l %}\n{{ i }}\n{%- endfor %}", "{% for i in l -%}\n  {{ i }},\n{% endfor %}", "<{% if a %} {% endif %}>",
    "{{ '{{' }} {{ '%}' }} {{ \"}}\" }}", "{{ {'a': {'b': 1}}['a']['b'] }}", "{{ {'a': {}} }}", "{ { a } } {a} {% if t %}%}{% endif %}",
    "a{% if t %}\n\n b{% endif %}", "x  {% set y = 1 %}  z", "  x  {%- set y = 1 %}  z", "{{ 1 }}\n{{ 2 }}\n",
    "{% if t %}a{% endif %}\n\nb", "    {# lone #}\nx", "    {# lone #}  \nx", "{{- a -}}", "{{+a}}", "{%set x=1%}{{x}}",
    "{% if t %}\n{% endif %}\n{% if t %}\nq\n{% endif %}", "\u2028{%- if t %}x{% endif %}", "{% raw -%}  a  {%- endraw %}b",
    "{%- raw %} a {% endraw -%} b", "{% raw %}a{% endraw %}\nb", "{% raw %}\na{%+ endraw %}", "a\n  {%- raw %}x{% endraw %}",
]

STATEMENTS = [
    "{% if a > 5 %}x{% elif a == 3 %}y{% else %}z{% endif %}", "{% if not l %}x{% else %}y{% endif %}", "{% if n %}x{% endif %}",
    "{% for x in l %}{{ x }}{% if not loop.last %}, {% endif %}{% endfor %}", "{% for x in [] %}x{% else %}none{% endfor %}",
    "{% for x in l if x != 2 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}", "{% for x in l if x > 9 %}x{% else %}no{% endfor %}",
    "{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }} {% endfor %}",
    "{% for x in l %}[{{ loop.previtem }}|{{ x }}|{{ loop.nextitem }}]{% endfor %}", "{% for x in l %}{{ loop.cycle('odd', 'even') }} {% endfor %}",
    "{% for x in [1, 1, 2, 2, 1] %}{% if loop.changed(x) %}{{ x }}{% endif %}{% endfor %}",
    "{% for x in l %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for a, b in nested %}{{ a }}-{{ b }} {% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a }}{{ b }}{{ c }} {% endfor %}", "{% for c in u %}[{{ c }}]{% endfor %}",
    "{% for i in range(5) %}{% if i == 1 %}{% continue %}{% endif %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in l %}{% for j in l %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for i in l %}{% set x = i %}{% endfor %}{{ x is defined }}", "{% set x = 1 %}{% for i in l %}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(n=0, found=false) %}{% for i in l %}{% set ns.n = ns.n + i %}{% if i == 2 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.n }} {{ ns.found }}",
    "{% set x, y = 1, 2 %}{{ x }}{{ y }}", "{% set x = 1, 2 %}{{ x }}", "{% set (x, y) = (3, 4) %}{{ x + y }}", "{% set x %}a{{ b }}c{% endset %}[{{ x }}]",
    "{% set x | upper | replace('A', 'b') %}a{{ s }}{% endset %}{{ x }}", "{% if true %}{% set x = 5 %}{% endif %}{{ x }}",
    "{% set ns = namespace() %}{% set ns.a, ns.b = 1, 2 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}", "{% set ns = namespace({'q': 1}, z=2) %}{{ ns.q }}{{ ns['z'] }}{{ ns }}",
    "{% set d2 = {} %}{% set d2.x = 1 %}", "{% set ns = namespace(x=1) %}{% for i in l %}{% set ns.x = ns.x * 2 %}{% endfor %}{{ ns.x }}",
    "{% macro m(x, y=2, z=x) %}({{ x }},{{ y }},{{ z }}){% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, z=5) }}{{ m(y=7, x=6) }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, k=3) }}", "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(q=2) }}", "{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m() }}", "{% macro m(x) %}{{ x.y }}{% endmacro %}{{ m() }}",
    "{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}body {{ a }}{% endcall %}", "{% macro m() %}{{ caller(1) }}{{ caller(2) }}{% endmacro %}{% call(x) m() %}[{{ x }}]{% endcall %}",
    "{% macro m() %}x{% endmacro %}{% call m() %}y{% endcall %}", "{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}{% set x = 2 %}{{ m() }}",
    "{% macro fact(k) %}{% if k < 2 %}1{% else %}{{ k * (fact(k - 1) | int) }}{% endif %}{% endmacro %}{{ fact(6) }}",
    "{% macro m(x) %}{% set y = x %}{{ y }}{% endmacro %}{{ m(1) }}{{ y is defined }}", "{% macro m() %}{% for i in l %}{{ i }}{% endfor %}{% endmacro %}{{ m() | upper }}{{ m.name }}",
    "{{ m() }}{% macro m() %}x{% endmacro %}", "{% for i in l %}{% macro q() %}{{ i }}{% endmacro %}{{ q() }}{% endfor %}",
    "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('l', 'L') | trim %}  {{ s }} {% endfilter %}|", "{% with x = 1, y = 2 %}{{ x + y }}{% endwith %}{{ x is defined }}",
    "{% set x = 9 %}{% with x = 1, y = x %}{{ y }}{% endwith %}", "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% generation %}a {{ s }}{% endgeneration %}!", "{% for x in l %}{% generation %}{{ x }}{{ loop.index }}{% endgeneration %}{% endfor %}",
    "{% for node in tree recursive %}{{ node.v }}{% if node.kids %}({{ loop(node.kids) }}){% endif %}{% endfor %}",
    "{% for node in tree recursive %}{{ loop.depth }}{{ node.v }} {{ loop(node.kids) }}{% endfor %}", "{% for x in l %}{{ loop(l) }}{% endfor %}",
    "{% for x in undefinedthing %}x{% else %}e{% endfor %}", "{% for x in n %}{% endfor %}", "{% for x in 5 %}{% endfor %}", "{% for x, y in l %}{% endfor %}",
    "{% for x in l %}{{ x }}{% endfor %}{{ loop is defined }}", "{% for x in l | reverse %}{{ x }}{{ loop.last }}{% endfor %}", "{% for x in l[1:] %}{{ x }}{% endfor %}",
    "{% for x in 'ab', 'cd' %}{{ x }}{% endfor %}", "{% for x in l if loop.first %}{% endfor %}", "{% for i in range(3) %}{{ i }}{% endfor %}{% for i in range(5, 0, -2) %}{{ i }}{% endfor %}",
    "{% set ns = namespace(stop=false) %}{% for i in range(10) if not ns.stop %}{{ i }}{% if i == 3 %}{% set ns.stop = true %}{% endif %}{% endfor %}",
    "{% for i in l %}{% set o %}{% if i == 2 %}{% break %}{% endif %}x{% endset %}{{ o }}{% endfor %}", "{% for x in l %}{% else %}{% endfor %}",
    "{% set x = l %}{% for l in x %}{{ l }}{% endfor %}{{ l }}", "{% for x in l %}{% if x == 2 %}{{ x }}{% set found = 1 %}{% endif %}{% endfor %}{{ found }}",
    "{% macro outer() %}{% macro inner(v) %}i{{ v }}{% endmacro %}{{ inner(1) }}{{ inner(2) }}{% endmacro %}{{ outer() }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'a': 3, 'b': 4}) }}", "{% macro m(caller) %}{{ caller }}{% endmacro %}{{ m(3) }}",
    "{% if a: %}x{% endif %}", "{% for x in l: %}{{ x }}{% endfor %}", "{% set x = a if b else s %}{{ x }}", "{% macro m() %}{{ caller is defined }}{% endmacro %}{{ m() }}",
]

EXPRESSIONS = [
    "{{ 1 + 2 * 3 - 4 }}", "{{ 7 / 2 }} {{ 8 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }}", "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}",
    "{{ 7.5 // 2 }} {{ -7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }} {{ 1e3 }} {{ 1.5e-7 }} {{ 1e16 }} {{ 123456789.123 }}", "{{ 0.1 + 0.2 }} {{ 1.0 }} {{ 100000.0 * 10 }} {{ 1e22 }} {{ 0.0001 }} {{ 0.00001 }}",
    "{{ true + 1 }} {{ true * 3 }} {{ -true }} {{ +true }}", "{{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ none == none }} {{ [1] == [1.0] }} {{ (1,) == [1] }} {{ {'a': 1} == {'a': 1} }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 }} {{ 1 != 2 }}", "{{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ (1, 2) < (1, 2, 3) }} {{ 'Z' < 'a' }}",
    "{{ 1 in l }} {{ 9 not in l }} {{ 'ell' in s }} {{ 'x' in d }} {{ 1 in (1, 2) }} {{ 2 in range(3) }} {{ 'q' in undefinedthing }}", "{{ not a }} {{ not n }} {{ not not l }}",
    "{{ a and b }} {{ n or s }} {{ empty or 0 or [] }} {{ a and n }} {{ t and 'yes' or 'no' }}", "{{ 'x' if a else 'y' }} {{ 'x' if n else 'y' }} [{{ 'x' if n }}] {{ 1 if n else 2 if n else 3 }}",
    "{{ s ~ 1 ~ none ~ 2.5 ~ l }}", "{{ 'a' 'b' \"c\" }}", "{{ 'a' + 'b' }} {{ [1] + [2] }} {{ (1,) + (2,) }} {{ 'ab' * 3 }} {{ 2 * [0] }} {{ 'x' * -1 }}|",
    "{{ s[0] }} {{ s[-1] }} {{ s[1:3] }} {{ s[::-1] }} {{ s[::2] }} {{ s[:-1] }} {{ s[10:] }}|{{ s[-3:-1] }}", "{{ u[2] }}{{ u[6] }}{{ u[-1] }}{{ u[::-1] }}{{ u | length }}", "{{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[::-1] }} {{ l[5] }}|{{ l[:0] }} {{ l[2:0:-1] }} {{ l[True] }}",
    "{{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3] }} {{ range(10)[3] }} {{ range(5)[::-1] | list }} {{ range(3) }} {{ range(1, 9, 2) }}", "{{ d.x }} {{ d['y'] }} {{ d.missing }}|{{ d['missing'] }}|{{ d.get('x') }} {{ d.get('q') }} {{ d.get('q', 7) }}", "{{ d.items is string }} {{ d['items'] }} {{ d.keys() }} {{ d.values() }} {{ d.items() }}",
    "{{ nested[1][0] }} {{ nested.1.0 }} {{ l.0 }} {{ users[0].name }} {{ users[0]['tags'][0] }}", "{{ [] }} {{ () }} {{ {} }} {{ (1,) }} {{ [1, 'a', none, true, 2.5, [3], (4, 5), {'k': 'v'}] }}", "{{ \"it's\" }} {{ [\"it's\", 'say \"hi\"', 'both \\' and \"', 'tab\\t', 'nl\\n', '\\\\'] }}",
    "{{ ['é', '☃', '\\x00', '\\x7f', '\\u200b', '\\xa0', '😀'] }}", "{{ '\\n\\t\\\\\\'\\\"\\x41\\u00e9\\U0001F600\\101\\q' }}", "{{ 'a\\\nb' }}", "{{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1_000 }} {{ 1_0.5 }} {{ 1e2 }} {{ 1E-2 }}",
    "{{ True }} {{ true }} {{ False }} {{ None }} {{ none }}", "{{ -a }} {{ +a }} {{ - -a }} {{ -f }}", "{{ -1 | abs }} {{ -a | abs }} {{ a | abs + 1 }}", "{{ (a + b) * 2 }} {{ a + b * 2 }}", "{{ missing }}|{{ missing | default('d') }}|{{ missing is defined }}",
    "{{ missing.x }}", "{{ missing['x'] }}", "{{ missing() }}", "{{ missing + 1 }}", "{{ missing == missing2 }} {{ missing != 1 }} {{ not missing }} {{ missing or 'x' }}", "{{ d.missing.x }}", "{{ n.x }}|{{ n['x'] }}|{{ a.x }}|{{ s.nope }}|{{ l.nope }}", "{{ n.x.y }}", "{{ l[9].x }}",
    "{{ 1 / 0 }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ 1.0 / 0 }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ [1] + (2,) }}", "{{ none + 1 }}", "{{ -s }}", "{{ 'a' < 1 }}", "{{ none < 1 }}", "{{ 1 in 2 }}", "{{ 1 in 'abc' }}", "{{ none in none }}", "{{ s() }}", "{{ l['x'] }}|{{ l[1.5] }}|{{ l[none] }}|{{ d[[1]] }}|",
    "{{ {1: 'a', 'b': 2, none: 3, (1, 2): 4, 2.5: 5} }}", "{{ {1: 'a', true: 'b', 1.0: 'c'} }}", "{{ {[1]: 2} }}", "{{ {'a': 1, 'a': 2} }}", "{{ l.append(4) }}", "{{ d.update({'z': 1}) }}", "{{ d.pop('x') }}", "{{ l.append }}|{{ d.clear }}|", "{{ s.__class__ }}", "{{ s.__class__.__mro__ }}", "{{ ''['__class__'] }}|", "{{ l.__len__() }}",
    "{{ range(3) | list }} {{ range(2, 5) | list }} {{ range(5, 2) | list }} {{ range(0) | list }} {{ range(5, 0, -2) | list }}", "{{ range(100001) }}", "{{ range(1, 2, 0) }}", "{{ range() }}", "{{ range('a') }}", "{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'q': 2}, r=3) }} {{ dict() }}", "{{ dict(5) }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}", "{% set j = joiner() %}{% for x in l %}{{ j() }}{{ x }}{% endfor %}", "{% set j = joiner('; ') %}{{ j() }}{{ j() }}{{ j() }}", "{{ cycler() }}",
    "{{ raise_exception('boom') }}", "{{ raise_exception('a' ~ 1) }}", "{% if a == 3 %}{{ raise_exception('Only user and assistant roles are supported, got ' + s + '!') }}{% endif %}", "{{ strftime_now('%d %b %Y') }} {{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%A, %B %-d, %y %j %p %I %%') }} {{ strftime_now('') }}|{{ strftime_now('%Z%z%f') }}",
    "{{ [1, 2,] }} {{ {'a': 1,} }} {{ (1, 2,) }} {{ range(2,) | list }}", "{{ a is defined and a > 2 }} {{ (a if t) is defined }}", "{{ 'a' if 'x' in d else 'b' }}", "{{ 1 if true else 2 + 3 }}", "{{ not a == 3 }} {{ not a in l }}", "{{ a == 3 and b == 4 or missing.x }}",
    "{{ f.is_integer() }}", "{{ '%s is %d and %.2f' % (s, a, f) }} {{ '%s' % s }} {{ '%%' % () }} {{ '%5d|%-5d|%05d|%+d|%x|%o|%e|%g|%r|%c' % (a, a, a, a, 255, 8, f, f, s, 'z') }}", "{{ '%(x)s-%(y)s' % d }}", "{{ '%d' % s }}", "{{ '%s %s' % (1,) }}", "{{ '%s' % (1, 2) }}",
    "{{ l == [1, 2, 3] }} {{ l is sameas l }} {{ d.x == 1 and d.y == 'two' }}", "{{ big * 10 }} {{ big + 0.5 }} {{ big ** 1 }}", "{{ 9223372036854775807 }} {{ -9223372036854775807 }}", "{{ users | map(attribute='name') | join(', ') }}", "{{ users[0].get('nope', {}).get('x', 'deep') }}", "{{ ((((1)))) }} {{ [[[[1]]]] }}",
    "{{ s.upper().lower().title()[0] }}", "{{ 'a.b'.split('.')[-1] }}", "{{ s.upper is callable }} {{ s is callable }} {{ range is callable }} {{ missing is callable }}", "{{ 1 .e }}|", "{{ 'abc'[1:][0] }} {{ 'abc'[-10:10] }} {{ 'abc'[2:1] }}|", "{{ l[::0] }}", "{{ s['upper']() }}", "{{ d.get is callable }}",
    "{{ a | string + 'x' }}", "{{ 10 % 4 * 2 }} {{ 2 * 10 // 4 }} {{ 2 ** 2 * 3 }} {{ 1 - 2 - 3 }} {{ 100 / 10 / 2 }}", "{{ 1 ~ 2 + 3 }} {{ 1 + 2 ~ 3 }}" , "{{ a, b }} {{ a, }}", "{{ 5 == 5 == true }} {{ (5 == 5) == true }}",
]

ERRORS = [
    "{{", "{% if %}", "{% if a %}", "{% endif %}", "{% for x l %}{% endfor %}", "{% for x in %}{% endfor %}", "{% unknown %}", "{{ a b }}", "{{ a | }}", "{{ a | nofilter }}", "{{ a is notest }}", "{{ 1 +  }}", "{{ (1 }}", "{{ 1) }}", "{{ [1 }}", "{{ {'a' 1} }}", "{{ 'abc }}", "{# abc", "{% raw %}abc",
    "{% set %}", "{% set 1 = 2 %}", "{% set true = 2 %}", "{% set x y %}", "{% macro %}{% endmacro %}", "{% macro m(1) %}{% endmacro %}", "{% macro m(a=1, b) %}{% endmacro %}", "{% call m %}{% endcall %}", "{% break %}", "{% continue %}", "{% for x in l %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}", "{% else %}", "{% if a %}{% endfor %}", "{{ a.  }}", "{{ a[] }}",
    "{{ f(a=1, 2) }}", "{{ f(**d, *l) }}", "{{ f(a=1, a=2) }}", "{{ a ? b }}", "{{ a & b }}", "{{ a := 1 }}", "{{ !a }}", "{{ a == }}", "{{ is defined }}", "{{ a is }}", "{{ a is defined is true }}", "{{ a not b }}", "{% filter %}x{% endfilter %}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% do 1 %}", "{% for %}", "{%", "{% }}", "{{ %}", "{{ '\\x4' }}", "{{ '\\u12' }}", "{% if a %}x{% else %}y{% else %}z{% endif %}", "{{ () }}{{ }}", "{% with x %}{% endwith %}", "{% block x %}" , "{% endraw %}", "{{ 'a' 1 }}", "{{ 1 2 }}", "{{ a.1.b.2 c }}", "{% set x = %}", "{% if a = 3 %}x{% endif %}", "{% for x in l %}", "{% macro m() %}", "{% call m() %}", "{% set x %}abc", "{{ loop.index }}",
    "{{ l | join(attribute='x', q=1) }}", "{{ s | upper(1) }}", "{{ d.get() }}", "{{ s.split(1, 2, 3) }}", "{{ s.replace('a') }}", "{{ s.nope() }}", "{{ n() }}", "{{ d() }}",
]


def cases():
    for group in ("WHITESPACE", "STATEMENTS", "EXPRESSIONS", "ERRORS"):
        for i, template in enumerate(globals()[group]):
            yield f"{group.lower()} {i}", template, CONTEXT
