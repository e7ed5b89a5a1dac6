#!/usr/bin/env python3
"""Makes tests/data/tokenizer_judge.json: texts and the token ids that two independent programs give for them.

Judges: PyPI `tokenizers` (byte-level BPE) and PyPI `sentencepiece`, each given the very tables our code reads: those of
real GGUF files where they are at hand, and of small vocabularies that this script learns from its own random text. The
small BPE vocabulary is learned without cutting text into words first, so its merges cross every border that a
pre-tokenizer draws, and a border drawn wrongly shows in the ids. Seeded: the same versions give the same file.

    python3 -m venv /tmp/judge && /tmp/judge/bin/pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf gguf
    /tmp/judge/bin/python tests/text/tokenizer_judge.py --models DIR tests/data/tokenizer_judge.json
"""
import argparse
import io
import json
import os
import random
import sys
import unicodedata

SMOLLM = "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA = "gemma-3-270m-q4_k_m.gguf"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
PRE_TOKENIZERS = {
    "smollm": [r"\p{N}", GPT2],
    "qwen2": [CL100K % r"\p{N}"],
    "llama-bpe": [CL100K % r"\p{N}{1,3}"],
    "gpt-2": [GPT2],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],
}

# ---- random text ----

WORDS = """the of and to in is you that it he was for on are with as his they be at one have this from or had by hot word
but what some we can out other were all there when up use your how said an each she which do their time if will way about
Hello World TOKEN Shoal device naïve café Zürich Straße ﬁne İstanbul Привет мир Ελλάδα עברית שלום مرحبا بالعالم नमस्ते
दुनिया ไทย ภาษา 你好 世界 東京 こんにちは カタカナ 안녕 세계 ትግርኛ ქართული հայերեն ǅ ʰ ª""".split()
CONTRACTIONS = [a + b for a in ("don", "I", "WE", "it", "", "é", " ") for b in
                ("'t", "'s", "'re", "'ve", "'m", "'ll", "'d", "'T", "'S", "'RE", "'vE", "'Ll", "'D", "'M", "’s", "'x", "''s", "'ſ", "'ſs")]
NUMBERS = ["0", "7", "42", "1234567", "3.14159", "1,000,000", "0xFF", "1e-9", "٣٤٥", "४२", "½", "²", "Ⅷ", "①②", "一二三",
           "x2y", "007", "12345", "999 1000"]
EMOJI = ["👋", "👋🏽", "👩‍👩‍👧‍👦", "🇫🇷", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️", "🌍", "1️⃣", "🤷🏿‍♀️"]
MARKS = ["e\u0301", "a\u0308\u0323", "\u0301", "ก็", "क्ष", "\u200d", "\u200b", "\u200e", "\ufeff", "\u00ad"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\r\n", "\n\n", " \n", "\n ", "\t\t", "        ", "\u00a0", "\u2003", "\u3000",
          "\u0085", "\u180e", "\u2028", "\u2029", "\u1680", "\u202f", "\x0b", "\x0c", "\x1c", "\x1f", " \r", "\r\r\n "]
PUNCTUATION = list("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~") + ["...", "!?", "->", "==", "«»", "—", "。", "，", "「」", "€", "™",
              "//", "/*", "::", "$$", "^^", "~~", "||", "<|", "|>", "\n}", ");\n", "؟", "…"]
CONTROLS = ["\x00", "\x01", "\x02", "\x1b", "\x7f", "\x80", "\x9f"]

CATEGORIES = {}
for point in range(0x110000):
    name = unicodedata.category(chr(point))
    if name not in ("Cs", "Cn", "Co"):
        CATEGORIES.setdefault(name, []).append(chr(point))
CATEGORY_NAMES = sorted(CATEGORIES)


def any_character(rng):
    return rng.choice(CATEGORIES[rng.choice(CATEGORY_NAMES)])


def random_text(rng, parts):
    out = []
    for _ in range(parts):
        kind = rng.random()
        if kind < 0.34:
            out.append(rng.choice(WORDS))
        elif kind < 0.56:
            out.append(rng.choice(SPACES) if rng.random() < 0.5 else " ")
        elif kind < 0.64:
            out.append(rng.choice(CONTRACTIONS))
        elif kind < 0.72:
            out.append(rng.choice(NUMBERS))
        elif kind < 0.82:
            out.append(rng.choice(PUNCTUATION))
        elif kind < 0.87:
            out.append(rng.choice(EMOJI))
        elif kind < 0.91:
            out.append(rng.choice(MARKS))
        elif kind < 0.93:
            out.append(rng.choice(CONTROLS))
        else:
            out.append(any_character(rng))
    return "".join(out)


def texts(seed, count, extra=()):
    """`count` different texts of 1 to 14 parts, with one of `extra` set into some of them."""
    rng = random.Random(seed)
    found = {}
    while len(found) < count:
        text = random_text(rng, rng.randint(1, 14))
        if extra and rng.random() < 0.4:
            at = rng.randint(0, len(text))
            text = text[:at] + rng.choice(extra) + text[at:]
        found[text] = None
    return list(found)


# ---- byte-level BPE, judged by `tokenizers` ----

def byte_characters():
    kept = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in kept]
    return {**{b: chr(b) for b in kept}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def bpe_judge(table, pre):
    """A judge for {tokens, types, merges} under one of our pre-tokenizers: encode(text, parse_special) -> ids."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, pre_tokenizers
    ids = {token: i for i, token in enumerate(table["tokens"])}
    merges = [tuple(merge.split(" ")) for merge in table["merges"]]
    judge = Tokenizer(models.BPE(vocab=ids, merges=merges, ignore_merges=pre == "llama-bpe"))
    splits = [pre_tokenizers.Split(Regex(p), behavior="isolated") for p in PRE_TOKENIZERS[pre]]
    judge.pre_tokenizer = pre_tokenizers.Sequence(splits + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    for token, kind in zip(table["tokens"], table["types"]):
        if kind == CONTROL:
            judge.add_special_tokens([AddedToken(token, normalized=False, special=True)])
        elif kind == USER_DEFINED:
            judge.add_tokens([AddedToken(token, normalized=False, special=False)])

    def encode(text, parse_special):
        judge.encode_special_tokens = not parse_special
        return judge.encode(text, add_special_tokens=False).ids
    return encode


def small_bpe_table():
    """Learned on random text taken whole. Some tokens lose their merge: only what takes a piece whole finds them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=1400, initial_alphabet=list(byte_characters().values()), show_progress=False)
    learner.train_from_iterator(texts(1, 6000), trainer)
    learned = json.loads(learner.to_str())["model"]
    tokens = sorted(learned["vocab"], key=learned["vocab"].get)
    merges = [" ".join(merge) if isinstance(merge, list) else merge for merge in learned["merges"]]
    parts = {part for merge in merges for part in merge.split(" ")}
    leaves = [merge for merge in merges if merge.replace(" ", "") not in parts]
    dropped = set(random.Random(4).sample(leaves, len(leaves) // 3))
    merges = [merge for merge in merges if merge not in dropped]
    special = [("<|im_start|>", CONTROL), ("<|im_end|>", CONTROL), ("<|endoftext|>", CONTROL), ("<tool>", USER_DEFINED),
               ("\t\t\t", USER_DEFINED), ("ÄÖÜ", USER_DEFINED)]
    return {"tokens": tokens + [token for token, _ in special],
            "types": [NORMAL] * len(tokens) + [kind for _, kind in special], "merges": merges}


SPECIAL_TEXTS = ["<|im_start|>user\n", "<|im_end|>\n", "<|endoftext|>", "<tool>", "\t\t\t\t", "ÄÖÜ", "<|im_end|", "<|im_start|><tool>"]


def bpe_cases(table, pre, seed, count, extra=()):
    """Texts whose every byte has a token: what becomes of the others is each program's own choice."""
    judge = bpe_judge(table, pre)
    tokens = set(table["tokens"])
    known = {byte for byte, character in byte_characters().items() if character in tokens}
    chosen = [t for t in texts(seed, count * 2, extra) if known.issuperset(t.encode())][:count]
    return [{"text": t, "special": i % 2 == 0, "ids": judge(t, i % 2 == 0)} for i, t in enumerate(chosen)]


# ---- SentencePiece ----

def spm_judge(table, add_space_prefix):
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    proto = sentencepiece_model_pb2.ModelProto()
    proto.trainer_spec.model_type = proto.trainer_spec.BPE
    proto.trainer_spec.byte_fallback = True
    proto.trainer_spec.unk_id = table["types"].index(UNKNOWN) if UNKNOWN in table["types"] else table["unknown"]
    proto.normalizer_spec.name = "identity"
    proto.normalizer_spec.add_dummy_prefix = add_space_prefix
    proto.normalizer_spec.remove_extra_whitespaces = False
    proto.normalizer_spec.escape_whitespaces = True
    for i, (token, score, kind) in enumerate(zip(table["tokens"], table["scores"], table["types"])):
        # A GGUF file writes the spaces of user-defined tokens as spaces, and may mark the unknown token as control.
        piece = token.replace(" ", "\u2581") if kind == USER_DEFINED else token
        proto.pieces.add(piece=piece, score=score, type=UNKNOWN if i == proto.trainer_spec.unk_id else kind)
    judge = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    return lambda text: judge.encode(text)


def small_spm_table():
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([t for t in texts(2, 6000) if "\x00" not in t]), model_writer=model, model_type="bpe", vocab_size=1500,
        byte_fallback=True, character_coverage=0.98, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=False, split_by_whitespace=False, split_by_unicode_script=False, split_by_number=False,
        allow_whitespace_only_pieces=True, user_defined_symbols=["<tool>", "\n\n", "\n"], minloglevel=2, num_threads=1)
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    table = {"tokens": [p.piece for p in proto.pieces], "scores": [p.score for p in proto.pieces],
             "types": [int(p.type) for p in proto.pieces]}
    # Some tokens become steps on the way to longer ones, never results.
    rng = random.Random(3)
    for i in rng.sample([i for i, t in enumerate(table["tokens"]) if table["types"][i] == NORMAL and len(t) == 2], 40):
        table["types"][i] = UNUSED
    return table


def spm_cases(judge, seed, count, extra=(), without=()):
    chosen = [t for t in texts(seed, count * 4, extra) if not any(w in t for w in without)][:count]
    return [{"text": t, "special": False, "ids": judge(t)} for t in chosen]


# ---- ill-formed UTF-8, judged by Python itself ----

def replacement_cases(seed, count):
    """[bytes as hex, what Python reads with errors="replace"]: well-formed text with bytes cut out, changed and put in."""
    rng = random.Random(seed)
    cases = []
    while len(cases) < count:
        data = bytearray(random_text(rng, rng.randint(1, 4)).encode()[:40])
        for _ in range(rng.randint(1, 5)):
            at = rng.randint(0, len(data))
            byte = rng.choice([0x80, 0xBF, 0xC0, 0xC2, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xFF, 0x9F, 0xA0, 0x8F, 0x90, 0x41])
            data[at:at + rng.randint(0, 2)] = bytes([byte] * rng.randint(0, 2))
        cases.append([data.hex(), data.decode(errors="replace")])
    return cases


# ---- files ----

def gguf_table(path):
    from gguf import GGUFReader
    fields = GGUFReader(path).fields

    def value(key):
        return fields["tokenizer.ggml." + key].contents() if "tokenizer.ggml." + key in fields else None
    return {"tokens": value("tokens"), "types": value("token_type"), "merges": value("merges"), "scores": value("scores"),
            "unknown": value("unknown_token_id")}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out")
    arguments.add_argument("--models", required=True, help="directory with " + SMOLLM + " and " + GEMMA)
    args = arguments.parse_args()

    bpe = small_bpe_table()
    spm = small_spm_table()
    smollm = gguf_table(os.path.join(args.models, SMOLLM))
    gemma = gguf_table(os.path.join(args.models, GEMMA))
    document = {
        "note": "Made by tests/text/tokenizer_judge.py: texts and the ids that PyPI tokenizers and sentencepiece give for them.",
        "replacement": replacement_cases(40, 250),
        "bpe": {**bpe, "cases": {pre: bpe_cases(bpe, pre, 10 + i, 60, SPECIAL_TEXTS)
                                 for i, pre in enumerate(PRE_TOKENIZERS)}},
        "spm": {**spm, "cases": spm_cases(spm_judge(spm, False), 20, 60, ["<tool>", "\n\n\n"]),
                "cases_with_space_prefix": spm_cases(spm_judge(spm, True), 21, 60, (), ["<tool>", "\n"])},
        "models": {SMOLLM: bpe_cases(smollm, "smollm", 30, 80, ["<|im_start|>user\n", "<|im_end|>"]),
                   GEMMA: spm_cases(spm_judge(gemma, False), 31, 80, ["\n\n\n", "<start_of_turn>", "<table>", "[multimodal]"])},
    }
    with open(args.out, "w", encoding="utf-8") as out:
        json.dump(document, out, ensure_ascii=False, separators=(",", ":"))
        out.write("\n")
    print(args.out, os.path.getsize(args.out), "bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
