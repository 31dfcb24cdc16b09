#!/usr/bin/env python3
"""Renames identifiers, files and tests of a whole tree of the project, by rules.

    python3 rename.py TREE            makes the renames (git mv for files, then cargo fmt)
    python3 rename.py TREE --dry      says what it would do
    python3 rename.py TREE --hits RX  shows every line that rules whose name matches RX change

It works by rules and not by line numbers, may be run again (the second run changes nothing), and lists the rules that
match nothing. Rust sources are split into code, comments and string literals: identifiers are renamed in code and in what
comments put between backticks or brackets, never in prose and never in strings (but for names of tests, which are unique).
"""
import os, re, subprocess, sys, bisect

WORD = r'(?<![\w#])%s(?!\w)'


def split(text):
    """Segments of Rust source: (kind, start, end), kind one of code, comment, string."""
    out, i, n, start = [], 0, len(text), 0
    def flush(to):
        if to > start: out.append(('code', start, to))
    while i < n:
        c = text[i]
        if c == '/' and text.startswith('//', i):
            flush(i); j = text.find('\n', i); j = n if j < 0 else j
            out.append(('comment', i, j)); i = start = j
        elif c == '/' and text.startswith('/*', i):
            flush(i); depth, j = 1, i + 2
            while depth and j < n:
                if text.startswith('/*', j): depth += 1; j += 2
                elif text.startswith('*/', j): depth -= 1; j += 2
                else: j += 1
            out.append(('comment', i, j)); i = start = j
        elif c in 'rbc' and (i == 0 or not (text[i-1].isalnum() or text[i-1] == '_')) and \
                (m := re.compile(r'(?:b|c)?r(#*)"').match(text, i)):
            flush(i); end = '"' + m[1]; j = text.find(end, m.end()); j = n if j < 0 else j + len(end)
            out.append(('string', i, j)); i = start = j
        elif c == '"':
            flush(i); j = i + 1
            while j < n and text[j] != '"': j += 2 if text[j] == '\\' else 1
            out.append(('string', i, j + 1)); i = start = j + 1
        elif c == "'":
            m = re.compile(r"'(?:\\(?:u\{[0-9a-fA-F_]+\}|x[0-9a-fA-F]{2}|.)|[^\\'\n])'").match(text, i)
            if m: flush(i); out.append(('string', i, m.end())); i = start = m.end()
            else: i += 1
        else: i += 1
    flush(n)
    return out


def masked(text, segments):
    """The text with comments and strings blanked out, of the same length."""
    parts = []
    for kind, a, b in segments:
        t = text[a:b]
        parts.append(t if kind == 'code' else re.sub(r'[^\n]', ' ', t))
    return ''.join(parts)


def enum_bodies(code):
    spans = []
    for m in re.finditer(r'\benum\s+\w+[^{;]*\{', code):
        depth, j = 1, m.end()
        while depth and j < len(code):
            depth += {'{': 1, '}': -1}.get(code[j], 0); j += 1
        spans.append((m.end(), j))
    return spans


def doc_spans(text, a, b):
    """What a comment puts between backticks, or between brackets as a link."""
    body = text[a:b]
    spans = [(a + m.start(1), a + m.end(1)) for m in re.finditer(r'`([^`\n]+)`', body)]
    spans += [(a + m.start(1), a + m.end(1)) for m in re.finditer(r'\]\(((?:crate|self|super|phantom_\w+|Self|\w+)::[\w:]+)\)', body)]
    return spans


class Rule:
    def __init__(self, kind, old, new, where, skip=(), name=None, strings=False, optional=False):
        self.kind, self.old, self.new = kind, old, new
        self.where, self.skip, self.strings = where, skip, strings
        self.name = name or f'{kind} {old} -> {new}'
        self.hits, self.optional = 0, optional
        if kind in ('type', 'ident'): self.rx = re.compile(WORD % re.escape(old))
        elif kind == 'test': self.rx = re.compile(r'(?<!\w)%s(?!\w)' % re.escape(old))
        else: self.rx = re.compile(old, re.M)

    def covers(self, path):
        hit = lambda p: path == p or (p.endswith('/') and path.startswith(p)) or p == ''
        return any(hit(p) for p in self.where) and not any(hit(p) for p in self.skip)

    def edits(self, text, ctx):
        """(start, end, new) in Rust source."""
        segments, code, enums = ctx
        out = []
        def allowed(at):
            if self.kind != 'type': return True
            before = code[max(0, at - 80):at]
            if re.search(r'\b[A-Z]\w*(?:::<[^<>]*>)?::$', before): return False
            # A type of the standard library or of somebody else's crate.
            if re.search(r'\b(?:runtime|thread|http|httparse|std::\w+)::$', before): return False
            for a, b in enums:
                if a <= at < b:
                    line = code[code.rfind('\n', 0, at) + 1:at]
                    after = code[at + len(self.old):at + len(self.old) + 2]
                    depth = 0
                    for ch in code[a:at]: depth += {'{': 1, '(': 1, '}': -1, ')': -1, '<': 1, '>': -1}.get(ch, 0)
                    if depth == 0 and not line.strip() and (after[:1] in ',({\n' or after[:2] in (' {', ' =')):
                        return False
            return True
        for m in self.rx.finditer(code):
            if self.rx.pattern and m.end() > m.start() and allowed(m.start()):
                out.append((m.start(), m.end(), m.expand(self.new) if self.kind == 'regex' else self.new))
        for kind, a, b in segments:
            if kind == 'comment':
                for x, y in doc_spans(text, a, b):
                    for m in self.rx.finditer(text, x, y):
                        if self.kind == 'type' and re.search(r'\b[A-Z]\w*::$', text[x:m.start()]): continue
                        out.append((m.start(), m.end(), m.expand(self.new) if self.kind == 'regex' else self.new))
            elif kind == 'string' and self.strings:
                for m in re.finditer(r'(?<!\{)\{(%s)(?=[:}])' % re.escape(self.old), text[a:b]):
                    out.append((a + m.start(1), a + m.end(1), self.new))
        return sorted(set(out))


def git(tree, *args):
    return subprocess.run(['git', '-C', tree, *args], check=True, capture_output=True, text=True).stdout


def tests_of(text):
    waiting = False
    for line in text.split('\n'):
        if re.match(r'\s*#\[(tokio::)?test\b', line): waiting = True; continue
        m = re.match(r'\s*(?:pub )?(?:async )?fn (\w+)', line)
        if m:
            if waiting: yield m[1]
            waiting = False


def main(rules, tests, moves, markdown, raw):
    tree = sys.argv[1]
    dry = '--dry' in sys.argv
    show = re.compile(sys.argv[sys.argv.index('--hits') + 1]) if '--hits' in sys.argv else None
    dry = dry or bool(show)
    unmatched = []
    # 1. Files.
    moved = 0
    for old, new in moves:
        a, b = os.path.join(tree, old), os.path.join(tree, new)
        if os.path.exists(a) and not os.path.exists(b):
            moved += 1
            if not dry:
                os.makedirs(os.path.dirname(b), exist_ok=True)
                git(tree, 'mv', old, new)
        elif not os.path.exists(b): unmatched.append(f'move {old}')
        elif os.path.exists(a): unmatched.append(f'move {old}: {new} is there already')
        else: unmatched.append(f'move {old}: done before')
    files = git(tree, 'ls-files').split('\n')
    back = {old: new for old, new in moves} if dry else {}
    changed = 0
    test_rx = re.compile(r'(?<!\w)(%s)(?!\w)' % '|'.join(sorted(map(re.escape, tests), key=len, reverse=True))) if tests else None
    test_hits = {}
    for path in files:
        full = os.path.join(tree, path)
        if not path or os.path.islink(full) or not os.path.isfile(full): continue
        if not path.endswith(('.rs', '.md', '.txt', '.toml', '.sh', '.yml', '.json', '.tsv', '.csv', '.patch', '.diff')) and '/mutants' not in path: continue
        try: before = text = open(full, encoding='utf-8', newline='').read()
        except UnicodeDecodeError: continue
        # 2. Identifiers, also in what a fault of tests/mutants finds and puts.
        code_path, head = path, ''
        if path.startswith('tests/mutants/') and (m := re.search(r'^file: (\S+)$', text, re.M)):
            code_path = dict(moves).get(m[1], m[1])
            at = text.find('\nfind:\n'); head, text = text[:at], text[at:]
        if code_path.endswith('.rs'):
            for rule in rules:
                if not (rule.covers(code_path) or dry and rule.covers(back.get(code_path, code_path))): continue
                if rule.kind in ('type', 'ident') and rule.old not in text: continue
                segments = split(text); code = masked(text, segments)
                edits = rule.edits(text, (segments, code, enum_bodies(code) if rule.kind == 'type' else ()))
                if not edits: continue
                rule.hits += len(edits)
                if show and show.search(rule.name):
                    for a, b, new in edits:
                        s, e = text.rfind('\n', 0, a) + 1, text.find('\n', b)
                        print(f'{path}:{text.count(chr(10), 0, a) + 1}: {text[s:e].strip()[:150]}')
                for a, b, new in reversed(edits): text = text[:a] + new + text[b:]
        text = head + text
        if path.endswith('.md'):
            for rule in markdown:
                if not rule.covers(path): continue
                def inside(m):
                    new, n = rule.rx.subn(rule.new, m[0]); rule.hits += n; return new
                text = re.sub(r'`[^`\n]+`', inside, text)
        if path.endswith('.rs'):
            for rule in (r for r in raw if r.kind == 'prose' and r.covers(path)):
                for kind, a, b in reversed(split(text)):
                    if kind == 'comment':
                        new, n = rule.rx.subn(rule.new, text[a:b]); rule.hits += n
                        if n: text = text[:a] + new + text[b:]
        for rule in (r for r in raw if r.kind != 'prose'):
            if rule.covers(path):
                text, n = rule.rx.subn(rule.new, text); rule.hits += n
        # 3. Names of tests, wherever they are cited.
        if test_rx:
            def renamed(m):
                test_hits[m[1]] = test_hits.get(m[1], 0) + 1
                return tests[m[1]]
            text = test_rx.sub(renamed, text)
        if text != before:
            changed += 1
            if not dry: open(full, 'w', encoding='utf-8', newline='').write(text)
    if not dry and changed:
        subprocess.run(['cargo', 'fmt', '--all'], cwd=tree, check=False)
    for rule in rules + markdown + raw:
        if not rule.hits and not rule.optional: unmatched.append(f'rule {rule.name}  [{" ".join(rule.where)[:90]}]')
    idle = sorted(set(tests) - set(test_hits))
    unmatched += [f'test {name}' for name in idle]
    long = []
    for path in git(tree, 'ls-files', '*.rs').split('\n'):
        if path:
            full = os.path.join(tree, path)
            if not os.path.isfile(full): continue
            for name in tests_of(open(full, encoding='utf-8').read()):
                name = tests.get(name, name) if dry else name
                if len(name.split('_')) > 7: long.append(f'{path} {name}')
    print(f'{moved} files moved, {changed} files changed, {sum(r.hits for r in rules)} places by {sum(1 for r in rules if r.hits)} rules, '
          f'{len(test_hits)} tests renamed')
    if unmatched: print('matched nothing:\n  ' + '\n  '.join(unmatched))
    if long: print('tests of more than seven words that have no shorter name here:\n  ' + '\n  '.join(long))


RULES, MARKDOWN, RAW, MOVES = [], [], [], []

HOST, ENGINE, DEVICE, STORE, TYPES, MODULE = (f'foundation/{x}/' for x in ('host', 'engine', 'device', 'store', 'types', 'module'))
CORE, DNS, API, CLI, CASPER, RESET, WATCH, HOP = (f'{x}/' for x in ('phantom-core', 'phantom-dns', 'phantom-api', 'phantom-cli',
                                                   'phantom-casper', 'factory-reset', 'phantom-watch', 'phantom-multihop'))
GHOST, TUNNEL, CERTS, GSTATE = 'phantom-ghost/src/', 'phantom-ghost/tunnel/', 'phantom-ghost/certs/', 'phantom-ghost/state/'
GTESTS = 'phantom-ghost/tests/'
TESTS, XTASK, FUZZ = 'tests/', 'xtask/', 'fuzz/'
# What is built on the engine, apart from the engine.
MODULES = (CORE, DNS, GHOST, GTESTS, HOP, API, TESTS)
ABOVE_HOST = (ENGINE, RESET, CLI, FUZZ) + MODULES

def ty(old, new, *where, skip=()): RULES.append(Rule('type', old, new, where, skip))
def ident(old, new, *where, skip=(), strings=False): RULES.append(Rule('ident', old, new, where, skip, strings=strings))
def rx(old, new, *where, skip=(), optional=False): RULES.append(Rule('regex', old, new, where, skip, optional=optional))
def md(old, new, *where): MARKDOWN.append(Rule('regex', old, new, where or ('',), optional=True))
def raw(old, new, *where, optional=False): RAW.append(Rule('regex', old, new, where, optional=optional))
def move(old, new): MOVES.append((old, new))
def variant(enum, old, new, home, *where, skip=()):
    """A variant: where it is defined or called `Self::OLD`, and everywhere else by the enum's (new) name."""
    rx(r'(?<![\w:])%s(?=\s*(?:,|\(|\{| =|$))' % old, new, home) if home else None
    rx(r'\bSelf::%s\b' % old, 'Self::' + new, home, optional=True) if home else None
    rx(r'\b%s::%s\b' % (enum, old), f'{enum}::{new}', *where, skip=skip)

# --- The desired state, and how a host converges on it -----------------------------------------------------------------
H = (HOST,) + ABOVE_HOST
ty('Wanted', 'DesiredRules', HOST + 'src/linux/firewall/')
ty('Wanted', 'DesiredState', *H, skip=(HOST + 'src/linux/firewall/',))
for part in ('File', 'Interface', 'Device', 'Peer'): ty('Wanted' + part, 'Desired' + part, *H)
ident('wanted_interface', 'desired_interface', HOP)
move(HOST + 'src/reconcile/wanted.rs', HOST + 'src/reconcile/desired_state.rs')
rx(r'\bmod wanted;', 'mod desired_state;', HOST + 'src/reconcile.rs')
rx(r'\bwanted::(?=\{|\w*Desired|[A-Z])', 'desired_state::', HOST + 'src/reconcile.rs', HOST + 'src/reconcile/')
ty('Told', 'LastEndpoints', HOST, skip=(HOST + 'src/linux/',))
ty('Told', 'ServerAnswer', HOST + 'src/linux/resolver/')
move(HOST + 'src/reconcile/told.rs', HOST + 'src/reconcile/last_endpoints.rs')
rx(r'\bmod told;', 'mod last_endpoints;', HOST + 'src/reconcile.rs')
rx(r'\btold::(?=\{|[A-Z]|[a-z_]+\b)', 'last_endpoints::', HOST + 'src/reconcile.rs', HOST + 'src/reconcile/')
ty('Depth', 'Coverage', *H)
ident('depth', 'coverage', ENGINE, CORE, DNS, GHOST, HOP, HOST + 'src/reconcile/desired_state.rs')
variant('Coverage', 'Network', 'WithoutPeers', HOST + 'src/reconcile/desired_state.rs', *H)
variant('Scope', 'Network', 'WithoutPeers', None, ENGINE, *MODULES)
rx(r'(?<=^    )Network,', 'WithoutPeers,', ENGINE + 'src/lib.rs')
ty('Way', 'Direction', ENGINE)
variant('Direction', 'Forward', 'Apply', ENGINE + 'src/peer_changes.rs', ENGINE)
variant('Direction', 'Back', 'RollBack', ENGINE + 'src/peer_changes.rs', ENGINE)
ident('way', 'direction', ENGINE + 'src/peers.rs', ENGINE + 'src/peer_changes.rs', ENGINE + 'src/bring.rs', ENGINE + 'src/converge.rs')
ty('Reached', 'ApplyOutcome', ENGINE)
variant('ApplyOutcome', 'All', 'Done', ENGINE + 'src/peer_changes.rs', ENGINE)
variant('ApplyOutcome', 'NothingThere', 'NeedsFullReconcile', ENGINE + 'src/peer_changes.rs', ENGINE)
move(ENGINE + 'src/peers.rs', ENGINE + 'src/peer_changes.rs')
rx(r'\bmod peers;', 'mod peer_changes;', ENGINE + 'src/lib.rs')
rx(r'\bpub use peers::', 'pub use peer_changes::', ENGINE + 'src/lib.rs')
rx(r'\bcrate::peers::', 'crate::peer_changes::', ENGINE)
ty('Outcome', 'RecoveryOutcome', ENGINE, CORE)
ident('bring_to', 'converge_to', ENGINE)
ident('bring', 'converge', ENGINE, HOST + 'src/reconcile/', HOP + 'src/switch.rs', HOP + 'src/replace.rs', HOP + 'src/failover.rs', HOP + 'src/actions/')
ident('reach_peers', 'converge_peers', ENGINE)
ty('Want', 'DesiredAt', ENGINE)
move(ENGINE + 'src/bring.rs', ENGINE + 'src/converge.rs')
ident('healed', 'finished', ENGINE)
ident('unhealed', 'unrecovered', ENGINE)
ident('heal', 'recover', ENGINE)
move(ENGINE + 'src/heal.rs', ENGINE + 'src/recover.rs')
ident('touched', 'dirty_scopes', ENGINE)
ident('touch', 'mark_dirty', ENGINE)
rx(r'\bself\.mark\(', 'self.mark_dirty_unchecked(', ENGINE + 'src/change.rs')
rx(r'\bfn mark\(', 'fn mark_dirty_unchecked(', ENGINE + 'src/change.rs')
ident('apply_then_open', 'apply_fail_closed', ENGINE, *MODULES)
rx(r'\bself\.open\(', 'self.release_after_commit(', ENGINE + 'src/change.rs')
rx(r'\bfn open\(', 'fn release_after_commit(', ENGINE + 'src/change.rs')
ident('opens', 'release', ENGINE + 'src/change.rs')
rx(r'\bpub fn block\(', 'pub fn install_boot_guard(', ENGINE + 'src/reconcile.rs')
rx(r'\bengine(\(\))?\.block\(', r'engine\1.install_boot_guard(', ENGINE, *MODULES)
ty('Part', 'RegisteredModule', ENGINE + 'src/lib.rs')
ty('Parts', 'ModuleRegistry', ENGINE, API, HOP)
ident('set_parts', 'set_modules', ENGINE, *MODULES)
ident('parts', 'modules', ENGINE + 'src/lib.rs', ENGINE + 'src/due.rs')
ident('part', 'module', ENGINE + 'src/lib.rs', ENGINE + 'src/due.rs')
ident('of_parts', 'of_modules', ENGINE + 'src/lib.rs', ENGINE + 'src/due.rs')
ty('Site', 'Installation', ENGINE, CORE, DNS, GHOST, HOP, API, TESTS)
ident('site', 'installation', ENGINE, CORE, DNS, GHOST, HOP, API + 'src/', API + 'examples/', TESTS + 'suite/', TESTS + 'support/')
move(ENGINE + 'src/site.rs', ENGINE + 'src/installation.rs')
ty('Hook', 'ServiceHook', ENGINE, API, HOP, CORE, GHOST, skip=(CORE + 'src/desired.rs', HOP + 'src/desired.rs', GHOST + 'desired.rs'))
ty('Setting', 'ServerSetting', ENGINE, API + 'examples/', HOP, GHOST, CORE, skip=(CORE + 'src/actions/tweak_settings.rs', CORE + 'src/actions/update_tweak_setting.rs'))
ty('Check', 'DoctorCheck', ENGINE, GHOST, HOP, API + 'examples/', DNS)

# --- Ownership tags -----------------------------------------------------------------------------------------------------
ty('Marks', 'OwnershipTags', *H)
ident('marks', 'tags', *H)
rx(r'\btags(\(\))?\.text\(\)', r'tags\1.tag()', *H)
rx(r'\bOwnershipTags::new\(([^()]*)\)\.text\(\)', r'OwnershipTags::new(\1).tag()', *H)
rx(r'\bpub fn text\(&self\)', 'pub fn tag(&self)', HOST + 'src/tags.rs')
rx(r'\bself\.text\(\)', 'self.tag()', HOST + 'src/tags.rs')
move(HOST + 'src/marks.rs', HOST + 'src/tags.rs')

# --- The host: packet filters, network, files ---------------------------------------------------------------------------
ty('Passing', 'ForwardedPacket', *H)
ty('EchoFrom', 'PingSource', *H)
ty('InForce', 'RulesetStatus', *H)
for old, new in (('Absent', 'Missing'), ('Different', 'Drifted'), ('Same', 'InSync')):
    rx(r'\bRulesetStatus::%s\b' % old, f'RulesetStatus::{new}', *H)
    rx(r'(?<=^    )%s,' % old, new + ',', HOST + 'src/facility/firewall.rs')
F = HOST + 'src/linux/firewall'
ty('Plain', 'NormalizedRule', F + '.rs', F + '/')
ty('Rendered', 'RenderedRule', F + '.rs', F + '/')
ty('Loaded', 'InstalledRule', F + '.rs', F + '/')
ty('Repeated', 'ForeignAccepts', F + '.rs', F + '/')
ty('Plan', 'ForeignPlan', F + '.rs', F + '/')
ty('State', 'ObservedFirewall', F + '.rs', F + '/')
ty('Backend', 'FilterBackend', F + '.rs', F + '/')
ty('Place', 'NftTable', F + '.rs', F + '/')
ty('At', 'XtablesTable', F + '.rs', F + '/')
ty('Names', 'ChainNames', F + '.rs', F + '/')
ty('Origin', 'RuleOwner', F + '/ufw.rs', F + '/ufw/')
rx(r'\bMatch::BegunFrom\b', 'Match::CtOriginalSource', *H)
rx(r'(?<=^    )BegunFrom(?= \{)', 'CtOriginalSource', HOST + 'src/facility/firewall.rs')
rx(r'\bHook::Mangle\b', 'Hook::MssClamp', *H)
rx(r'(?<=^    )Mangle,', 'MssClamp,', HOST + 'src/facility/firewall.rs')
ident('place_of_draft', 'temp_file_target', HOST)
ident('DRAFT_DIGITS', 'TEMP_FILE_DIGITS', HOST)
ty('Draft', 'TempFile', HOST)
move(HOST + 'src/linux/files/draft.rs', HOST + 'src/linux/files/temp_file.rs')
rx(r'\bmod draft;', 'mod temp_file;', HOST + 'src/linux/files.rs')
rx(r'\bdraft::(?=TempFile|\{|[a-z])', 'temp_file::', HOST + 'src/linux/files.rs', HOST + 'src/linux/files/')
ident('BEFORE', 'SAVED_VALUE_PREFIX', HOST, CORE, RESET, strings=True)
ident('way_from', 'rule_route_from', HOST + 'src/fake/')
ty('Way', 'Direction', HOST + 'src/linux/network.rs', HOST + 'src/linux/network/')
ty('Answer', 'DnsAnswer', HOST, DNS, *(TESTS + 'suite/' + x for x in ('cases.rs', 'doctor.rs', 'languages.rs', 'dns.rs', 'reads/deaf.rs', 'reads/unresponsive.rs')))
ty('Fault', 'InjectedFault', HOST + 'src/fake/', HOST + 'src/fake.rs', HOST + 'src/lib.rs', HOST + 'tests/')
ty('Fault', 'NetlinkFault', HOST + 'src/linux/')
ty('Plan', 'FaultPlan', HOST + 'src/fake/', HOST + 'src/fake.rs', HOST + 'src/lib.rs', HOST + 'tests/', TESTS)
ty('Manager', 'ServiceManager', *H, skip=(HOST + 'src/fake/services.rs', HOST + 'src/fake.rs'))
ty('Ended', 'ProgramOutput', HOST, GHOST, TESTS + 'suite/')
ty('Rule', 'PolicyRule', HOST + 'src/host_addresses.rs', HOST + 'src/facility.rs', HOST + 'src/facility/network.rs', HOST + 'src/fake/', HOST + 'src/linux/network.rs', HOST + 'src/linux/network/',
   HOST + 'src/lib.rs', HOST + 'src/tags.rs', HOST + 'src/reconcile/', HOST + 'tests/net_suite/', HOST + 'tests/conformance/', HOP, ENGINE, TESTS + 'suite/', RESET)
ty('Step', 'Statement', HOST + 'src/filter/', HOST + 'src/filter.rs')
ty('State', 'PacketState', HOST + 'src/filter/', HOST + 'src/filter.rs')
ty('Action', 'FilterAction', HOST + 'src/filter/', HOST + 'src/filter.rs')
ty('Kind', 'NumberKind', HOST + 'src/filter/', HOST + 'src/filter.rs')
move(HOST + 'src/fake/sabotage.rs', HOST + 'src/fake/external_changes.rs')
rx(r'\bmod sabotage;', 'mod external_changes;', HOST + 'src/fake.rs')
ident('sabotage', 'external_change', TESTS, HOST + 'tests/', HOST + 'src/reconcile/tests.rs', strings=True)
ident('sabotages', 'external_changes', TESTS, HOST + 'tests/')

# --- The embedded device ------------------------------------------------------------------------------------------------
D = DEVICE + 'src/device'
ty('Lesson', 'SendFeedback', DEVICE)
ident('lesson', 'feedback', DEVICE + 'src/device.rs', DEVICE + 'src/udp/', D + '/')
ident('heed', 'apply_feedback', DEVICE)
ty('Parcel', 'PeerBatch', DEVICE)
ident('parcel', 'batch', DEVICE + 'src/device.rs', D + '/outbox.rs', D + '/tx_queue.rs')
ty('Outbox', 'TxQueue', DEVICE)
move(D + '/outbox.rs', D + '/tx_queue.rs')
move(D + '/outbox/tests.rs', D + '/tx_queue/tests.rs')
rx(r'\bmod outbox;', 'mod tx_queue;', DEVICE + 'src/device.rs')
rx(r'\boutbox::', 'tx_queue::', DEVICE)
ident('outbox', 'tx_queue', DEVICE)
rx(r'(?<![\w.:])shake\(', 'handle_handshake(', DEVICE)
rx(r'\btunnel::shake(?=;)', 'tunnel::handshake', DEVICE)
rx(r'\b(tunnel::|\.)shake\(', r'\1handle_handshake(', DEVICE)
move(D + '/tunnel/shake.rs', D + '/tunnel/handshake.rs')
ident('robbed', 'previous_owners', DEVICE)
ty('Kind', 'MessageKind', DEVICE)
ty('Request', 'CookieRequest', DEVICE + 'src/cookie.rs', DEVICE + 'src/cookie/', D + '/')
ty('Status', 'DeviceStatus', DEVICE)
ty('Options', 'DeviceOptions', DEVICE)
ty('Ended', 'EndReason', DEVICE)
ty('Place', 'SocketPath', DEVICE + 'src/uapi/', DEVICE + 'src/run.rs')
ty('Server', 'ControlListener', DEVICE + 'src/uapi/', DEVICE + 'src/run.rs')
ty('Place', 'Reservation', D + '/')
ty('Way', 'Direction', DEVICE)
ty('Tunnel', 'PeerTunnel', DEVICE)
ty('State', 'PeerRuntime', D + '/', DEVICE + 'src/device.rs')
ty('Table', 'PeerTable', DEVICE)
ty('Verdict', 'Admission', DEVICE)
ty('Endpoint', 'PeerEndpoint', D + '/', DEVICE + 'src/device.rs', DEVICE + 'src/udp/', DEVICE + 'src/udp.rs')
ty('Front', 'HandshakeQueue', DEVICE)

# --- Store, types, module -------------------------------------------------------------------------------------------------
ty('Fault', 'ConfFault', TYPES, HOP)
ty('Draft', 'UnnamedCopy', STORE)
ty('Page', 'ClientPage', STORE, CORE)
ty('Backup', 'BackupEntry', STORE, CORE + 'src/actions/change_subnet.rs')
ty('Kind', 'ParameterKind', MODULE, API, CLI, CORE, DNS, GHOST, HOP, FUZZ + 'fuzz_targets/arguments.rs', TESTS + 'suite/', TESTS + 'tui/')
ty('Given', 'RawValue', MODULE, CORE, API, CLI)

# --- Programs ---------------------------------------------------------------------------------------------------------------
ty('Exit', 'ExitStatus', API)
ty('Words', 'Invoked', API)
ty('Builder', 'PhantomBuilder', API, TESTS + 'support/server.rs')
ty('Builder', 'ServerBuilder', TUNNEL)
ty('Words', 'Args', RESET, CASPER + 'src/command.rs')
ident('said', 'args', RESET + 'src/command.rs', CASPER + 'src/command.rs')
ty('Wish', 'ResetCommand', RESET)
ident('wish', 'command', RESET + 'src/command.rs')
ty('Place', 'ResetTarget', RESET, TESTS + 'suite/')
ty('Words', 'Vocabulary', CASPER + 'src/text/', CASPER + 'src/text.rs')
ty('Words', 'Args', XTASK)
move(XTASK + 'src/words.rs', XTASK + 'src/args.rs')
rx(r'\bmod words;', 'mod args;', XTASK + 'src/main.rs')
rx(r'\bcrate::words::', 'crate::args::', XTASK)
ty('Place', 'WatchPaths', WATCH, skip=(WATCH + 'src/filter.rs',))
ty('Place', 'TableId', WATCH + 'src/filter.rs')
ty('Kind', 'MessageKind', WATCH)

# --- phantom-wg, the full-screen interface --------------------------------------------------------------------------------
C = (CLI + 'src/', CLI + 'tests/')
ty('Act', 'ScreenAction', *C)
ty('Then', 'Continuation', *C)
ty('Does', 'Handler', *C)
ty('Mood', 'Tone', *C)
ty('Look', 'Theme', *C, TESTS + 'tui/', XTASK)
move(CLI + 'src/look.rs', CLI + 'src/theme.rs')
rx(r'\bmod look;', 'mod theme;', CLI + 'src/lib.rs')
rx(r'\bpub use look::', 'pub use theme::', CLI + 'src/lib.rs')
rx(r'\b(crate|super)::look::', r'\1::theme::', *C)
ident('look', 'theme', *C, TESTS + 'tui/', XTASK + 'src/bin/bench_screen.rs')
ty('World', 'AppContext', *C)
ty('Status', 'HeaderStatus', *C)
ty('Tunnel', 'GhostState', *C)
ty('Table', 'ModuleTable', *C, skip=(CLI + 'src/screens/clients.rs',))
ty('Reply', 'WorkResult', *C, TESTS + 'tui/')
ty('Event', 'AppEvent', *C, TESTS + 'tui/', XTASK + 'src/bin/bench_screen.rs')
ty('Effect', 'AppEffect', CLI + 'src/app.rs', CLI + 'src/app/', CLI + 'src/lib.rs', CLI + 'src/shell.rs', TESTS + 'tui/driver.rs', XTASK + 'src/bin/bench_screen.rs')
ty('Call', 'ActionCall', *C)
ty('Options', 'CliOptions', *C, TESTS + 'suite/documents.rs')
ty('Part', 'ExitRole', CLI + 'src/flows/multihop.rs')

# --- Certificates -----------------------------------------------------------------------------------------------------------
ty('Request', 'CertificateRequest', CERTS, TUNNEL + 'src/keep.rs', skip=(CERTS + 'src/acme/http.rs',))
ty('Kind', 'ChallengeKind', CERTS, TUNNEL + 'src/keep/by_server.rs')
ty('Answer', 'ChallengeResponse', CERTS, TUNNEL + 'src/keep/by_server.rs')
ty('Reply', 'CommandReply', CERTS + 'src/', TUNNEL + 'src/cli/', TUNNEL + 'src/verify.rs')
ty('Wanted', 'OrderRequest', CERTS)
ty('Asked', 'RenewalQuery', CERTS, TUNNEL + 'src/keep.rs')
ty('StoreError', 'CertStoreError', CERTS, TUNNEL)
ty('Store', 'CertStore', CERTS, TUNNEL)
ty('Stored', 'StoredCertificate', CERTS, TUNNEL)
ty('Paths', 'CertPaths', CERTS, TUNNEL)
ty('Pair', 'CertificatePair', CERTS, TUNNEL)

# --- The tunnel -------------------------------------------------------------------------------------------------------------
T = TUNNEL
ty('Request', 'ControlRequest', T + 'src/control.rs', T + 'src/control/', T + 'src/keep/', T + 'src/server/control.rs')
ty('Reply', 'ControlReply', T + 'src/control.rs', T + 'src/control/', T + 'src/keep/', T + 'src/keep.rs', T + 'src/server/control.rs')
ty('Event', 'ClientEvent', T + 'src/client.rs', T + 'src/client/verb.rs', T + 'tests/wstunnel/', T + 'tests/client/')
ty('Event', 'FrameEvent', T, skip=(T + 'src/client.rs', T + 'src/client/verb.rs', T + 'tests/client/'))
ty('Kind', 'FrameKind', T, skip=(T + 'tests/server/crowd.rs', T + 'src/keep/'))
ty('Options', 'KeeperOptions', T + 'src/keep.rs', T + 'src/keep/', T + 'src/cli/keep.rs')
ty('Options', 'ProbeOptions', T + 'src/probe.rs', T + 'src/probe/', T + 'tests/client/probing.rs')
ty('Options', 'TunnelOptions', T + 'src/pump.rs', T + 'src/pump/', T + 'src/client.rs', T + 'src/client/verb.rs', T + 'src/server.rs', T + 'src/server/', T + 'tests/wstunnel/')
ty('Fault', 'RequestFault', T)
ty('Claims', 'TokenClaims', T)
ty('Verdict', 'ProbeVerdict', T)
ty('Finding', 'ProbeFinding', T)
ty('Report', 'ProbeReport', T)
ty('Counters', 'TrafficCounters', T)
ty('Endpoint', 'UdpEndpoint', T + 'src/pump.rs', T + 'src/pump/', T + 'src/udp.rs', T + 'src/udp/', T + 'src/server.rs', T + 'src/server/', T + 'tests/')
rx(r'(?<!\w)Endpoint(?!\w)(?! as )', 'UdpEndpoint', T + 'src/client.rs')
ty('Told', 'PushResult', T)
ty('Step', 'KeeperTask', T)
ty('Visit', 'HttpConnection', T + 'src/', XTASK, skip=(T + 'src/limits/',))
ty('Arrival', 'HeadOutcome', T + 'src/')
ty('Words', 'WaitOutcome', T + 'src/server/connection/behind.rs')
ty('Site', 'DecoySite', T + 'src/server.rs', T + 'src/server/')
ty('Place', 'Slot', T + 'src/limits/')

# --- Ghost Mode's module and Multihop ---------------------------------------------------------------------------------------
ty('Step', 'GhostStep', GHOST, GTESTS)
ty('Wish', 'EnableRequest', GHOST)
ident('wish', 'request', GHOST + 'src/actions/enable.rs', GHOST + 'actions/enable.rs')
ty('Asked', 'FrontRequest', GHOST + 'front.rs', GHOST + 'actions/')
ty('Report', 'KeeperReport', GHOST)
ty('Collision', 'DnsCollision', DNS)
ty('Collision', 'ExitCollision', HOP)
ty('Step', 'MultihopStep', HOP)
ty('Event', 'SessionEvent', HOP)
ty('Wish', 'SwitchRequest', HOP)
ident('wish', 'request', HOP + 'src/')
ty('Place', 'ExitPlace', HOP + 'src/desired.rs')
ty('Place', 'SwitchContext', HOP, skip=(HOP + 'src/desired.rs',))
ty('Unfit', 'ImportProblem', HOP + 'src/import.rs', HOP + 'src/import/', HOP + 'src/actions/')
ty('Source', 'ImportContext', HOP + 'src/import.rs', HOP + 'src/import/', HOP + 'src/actions/')
ty('Probe', 'ProbeResult', HOP + 'src/prove.rs', HOP + 'src/verify.rs', HOP + 'src/switch.rs')
ty('Counters', 'DeviceCounters', HOP)
ty('Task', 'MonitorTask', HOP)
rx(r'\bUnproven\b', 'VerificationFailed', HOP)
rx(r'\bprove::way\b', 'verify::check_route', HOP)
rx(r'\bprove::source\b', 'verify::check_firewall', HOP)
rx(r'\bprove::monitor\b', 'verify::check_monitor', HOP)
V = HOP + 'src/verify.rs'
rx(r'\bpub\(crate\) fn way\(', 'pub(crate) fn check_route(', V)
rx(r'\bpub\(crate\) fn source\(', 'pub(crate) fn check_firewall(', V)
rx(r'\bpub\(crate\) fn monitor\(', 'pub(crate) fn check_monitor(', V)
move(HOP + 'src/prove.rs', V)
move(HOP + 'src/replace.rs', HOP + 'src/failover.rs')
rx(r'\bmod prove;', 'mod verify;', HOP + 'src/lib.rs')
rx(r'\bmod replace;', 'mod failover;', HOP + 'src/lib.rs')
rx(r'\bprove::', 'verify::', HOP)
rx(r'(?<=[{ ,:])prove(?=[,};])(?!\()', 'verify', HOP + 'src/', skip=(HOP + 'src/switch.rs',))
rx(r'\breplace::', 'failover::', HOP)
ident('own_way', 'reply_route', HOP)
rx(r'(?<!\.)\bways\(', 'policy_routes(', HOP + 'src/desired.rs')
ident('turn_to', 'switch_to', HOP)
ident('turn_off', 'disable', HOP)
rx(r'\bfn turn\(', 'fn failover(', HOP + 'src/failover.rs')
rx(r'\bfn attempt\(', 'fn probe_exit(', HOP + 'src/failover.rs')
rx(r'(?<=failover::)\{(WAITS, )?attempt, turn\}', r'{\1failover, probe_exit}', HOP)
rx(r'(?<![\w.])turn\(engine', 'failover(engine', HOP + 'src/hooks.rs', HOP + 'src/errand.rs')
rx(r'(?<![\w.])attempt\(engine', 'probe_exit(engine', HOP + 'src/hooks.rs', HOP + 'src/errand.rs')
rx(r'\bfn stay\(', 'fn reverify(', HOP + 'src/switch.rs')
rx(r'\bswitch::stay\b', 'switch::reverify', HOP)
rx(r'\bfn settle\(', 'fn commit_switch(', HOP + 'src/switch.rs')
rx(r'(?<![\w.])settle\(', 'commit_switch(', HOP + 'src/switch.rs')
ident('settled', 'into_api_error', HOP)
ident('staging', 'standby_interface', HOP)
rx(r'(?<![\w.])stage\(', 'try_standby(', HOP + 'src/switch.rs')
rx(r'\bswitch::stage\b', 'switch::try_standby', HOP)
ident('exit_in_use', 'active_exit', HOP, TESTS)
rx(r'\bmod shake;', 'mod handshake;', DEVICE)
rx(r'\bshake::', 'handshake::', DEVICE)

# The choice and what carries the traffic are two fields.
rx(r'\b(stored|before|replaced|multihop|now)\.exit\b', r'\1.chosen_exit', HOP, TESTS + 'suite/multihop/', skip=(HOP + 'src/errand.rs',))
rx(r'\bexit: (?!Exit\b)(?=[^;{}]{0,900}?\bkill_switch\b)', 'chosen_exit: ', HOP, TESTS + 'suite/')

# --- Functions called `of` ------------------------------------------------------------------------------------------------
def of(type_, new, home, *where):
    rx(r'\bfn of(?=[(<])', 'fn ' + new, home)
    rx(r'\bSelf::of\b', 'Self::' + new, home, optional=True)
    if type_: rx(r'\b%s::of\b' % type_, f'{type_}::{new}', *(where or (home,)))
EF = ENGINE + 'src/filters.rs'
rx(r'\bfn of\((?=let_in)', 'fn from_let_in(', EF)
rx(r'\bOpenedChain::of\b', 'OpenedChain::from_let_in', ENGINE, CORE, GHOST, HOP)
rx(r'\bfn of\((?=engine)', 'fn observe(', EF)
rx(r'\bReach::of\b', 'Reach::observe', ENGINE, *MODULES)
FI = HOST + 'src/filter/'
of('Tri', 'from_bool', FI + 'facts.rs', FI, HOST + 'src/filter.rs')
of('Condition', 'matching', FI + 'tree.rs', FI, HOST + 'src/filter.rs')
of('Output', 'from_output', HOST + 'src/linux/command.rs', HOST + 'src/linux/')
of('ForeignAccepts', 'for_forward', F + '/foreign.rs', F + '/')
of('Letting', 'for_ruleset', F + '/letting.rs', F + '/')
of('Rule', 'from_json', F + '/nft/listing.rs', F + '/')
rx(r'\bBaseSeen::of\b', 'BaseSeen::from_json', F + '/nft/')
rx(r'\bfn of\((?=network)', 'fn from_network(', F + '/rules.rs')
rx(r'\bFamily::of\b', 'Family::from_network', F + '/')
rx(r'\bfn of\((?=rule)', 'fn from_rule(', F + '/rules.rs')
rx(r'\bNormalizedRule::of\b', 'NormalizedRule::from_rule', F + '/')
of('FilterBackend', 'from_kind', F + '/state.rs', F + '.rs', F + '/')
of('RuleOwner', 'from_comment', F + '/ufw.rs', F + '/')
of('ChainNames', 'from_tags', F + '/xtables.rs', F + '/')
of('NetlinkFault', 'from_message', HOST + 'src/linux/netlink.rs', HOST + 'src/linux/')
of('Process', 'from_pid', HOST + 'src/linux/services/builtin/process.rs', HOST + 'src/linux/')
of('Failure', 'from_io', HOST + 'src/linux/uapi/reply.rs', HOST + 'src/linux/')
of(None, 'pick', HOST + 'tests/fw_linux/filters/chance.rs')
rx(r'(?<=\.)of(?=[(:])', 'pick', HOST + 'tests/fw_linux/')
of(None, 'from_result', STORE + 'src/files/opened.rs')
of('Said', 'from_error', TYPES + 'src/spoken.rs', 'foundation/', *MODULES, CLI, RESET, CASPER, GSTATE, TUNNEL, CERTS, WATCH)
of('Export', 'load', CASPER + 'src/export.rs', CASPER, TESTS, XTASK, CLI)
of('Outside', 'collect', CASPER + 'src/outside.rs', CASPER)
of('ExitRole', 'from_json', CLI + 'src/flows/multihop.rs')
of('Report', 'for_call', CLI + 'src/screens/report.rs', CLI)
of('Problem', 'from_failure', CLI + 'src/work.rs', CLI)
of('Outline', 'read', CORE + 'src/actions/export_client.rs', CORE)
of('Check', 'from_finding', CORE + 'src/doctor.rs', CORE)
of('Checks', 'collect', CORE + 'src/subnet_check.rs', CORE)
of('Percent', 'from_ratio', CORE + 'src/values.rs', CORE)
of('AcmeError', 'at_step', CERTS + 'src/acme/error.rs', CERTS)
of('Reply', 'to_request', CERTS + 'tests/pebble/proxy.rs')
of('KeyPin', 'from_certificate', T + 'src/client/trust.rs', T)
of('Stamp', 'read', T + 'src/keep/clients.rs')
of('Networks', 'containing', T + 'src/limits/network.rs', T + 'src/')
of('Open', 'admit', T + 'src/limits/tests.rs')
of('Comparison', 'between', T + 'src/probe/timing.rs', T + 'src/')
of('SecretDigest', 'digest', T + 'src/secrets.rs', T)
of('Lines', 'from_head', T + 'src/server/connection/once.rs')
of('Ends', 'for_stranger', T + 'src/server/proxy.rs', T + 'src/')
of('MultihopStep', 'from_failure', HOP + 'src/error.rs', HOP)
of('provider', 'detect', HOP + 'src/provider.rs', HOP)
rx(r'(?<![\w.:])of\(&parsed', 'detect(&parsed', HOP + 'src/provider.rs')
of(None, 'build', TESTS + 'namespace/forge.rs')
of('Ready', 'for_change', TESTS + 'suite/faults.rs', TESTS + 'suite/')
of('Program', 'named', TESTS + 'support/program.rs', TESTS)

# --- Test kits ------------------------------------------------------------------------------------------------------------
ty('Person', 'TuiDriver', TESTS + 'tui/')
ty('World', 'TestNet', TESTS + 'namespace/')
ty('World', 'CasperFixture', CASPER + 'tests/')
ty('World', 'TestPki', CERTS + 'src/inspect/')
ty('World', 'TunnelNet', T + 'tests/')
ty('World', 'MultihopFixture', HOP + 'tests/')
ty('World', 'BenchNet', XTASK + 'src/bench.rs', XTASK + 'src/bench/')
ty('Deaf', 'UnresponsiveHost', TESTS + 'suite/')
move(TESTS + 'suite/reads/deaf.rs', TESTS + 'suite/reads/unresponsive.rs')
rx(r'\bmod deaf;', 'mod unresponsive;', TESTS + 'suite/reads.rs')
rx(r'\bdeaf::', 'unresponsive::', TESTS + 'suite/')
rx(r'\bfn deaf\b', 'fn no_answer', TESTS + 'suite/reads/unresponsive.rs')
rx(r'(?<![\w.])deaf\(\)', 'no_answer()', TESTS + 'suite/reads/unresponsive.rs')
ident('DEAF', 'UNRESPONSIVE', TESTS + 'suite/')

# --- Last ones --------------------------------------------------------------------------------------------------------------
CONN = (T + 'src/server/connection.rs', T + 'src/server/connection/')
ident('leave', 'linger_close', *CONN)
rx(r'(?<!\(\)\.)\bhold\b', 'throttle_error', *CONN)
rx(r'\bReconnectAttempt \{ number \}', 'ReconnectAttempt { attempt: number }', HOP)
rx(r'\bReconnectAttempt \{ number:', 'ReconnectAttempt { attempt:', HOP)
rx(r'(?<=^        )number: u32', 'attempt: u32', HOP + 'src/session.rs')
ty('Wall', 'Barrier', HOP)
ty('Walls', 'Barriers', HOP)
ident('walls', 'barriers', HOP + 'src/')
ident('wall', 'barrier', HOP + 'src/')
move(HOP + 'src/walls.rs', HOP + 'src/barriers.rs')
raw(r'\ba (\[?`(?:Installation|OwnershipTags|AppContext|AppEvent|AppEffect|ActionCall|ExitStatus|InstalledRule|ApplyOutcome)`)', r'an \1', '')
raw(r'\bwanted state\b', 'desired state', 'foundation/', CORE, DNS, 'phantom-ghost/', HOP, API, CLI, RESET, 'tests/namespace/', 'tests/suite/', 'tests/support/', 'ARCHITECTURE.md', 'docs/')

# Prose of comments, where the word was the name of the thing.
def prose(old, new, *where): RAW.append(Rule('prose', old, new, where, optional=True))
for word in ('the', 'our', 'their', 'these', 'whose', 'by', 'own', 'plain'):
    prose(r'\b(%s) marks\b' % word, r'\1 tags', HOST, *ABOVE_HOST)
    prose(r'\b(%s) marks\b' % word.capitalize(), r'\1 tags', HOST, *ABOVE_HOST)
prose(r'\b(our|lost its|without its|without a) mark\b', r'\1 tag', HOST, *ABOVE_HOST)
rx(r'\bManager as Kind\b', 'ServiceManager as Kind', HOST + 'src/fake/services.rs')
rx(r'^(use (?:super|crate::reconcile)::[^;]*?)\btold\b(?=[^;]*;)', r'\1last_endpoints', HOST + 'src/reconcile/')
raw(r'0DRAFT_DIGITS\$', '0TEMP_FILE_DIGITS$', HOST)
# A field of a file between two programs, which keeps its name.
rx(r'\btags: self\.tags\.chains\(\)', 'marks: self.tags.chains()', ENGINE + 'src/watch.rs')
rx(r'\bexit: (?=heir\b)', 'chosen_exit: ', HOP + 'src/actions/remove.rs')
rx(r'\bphantom_api::ActionCall\b', 'phantom_api::Call', CLI)
rx(r'\bAppEvent as Happening\b', 'Event as Happening', CLI)
rx(r'\bplain\.text\(\)', 'plain.tag()', TESTS + 'support/server.rs')

# --- Documents: only what stands between backticks ------------------------------------------------------------------------
for old, new in (
    ('Wanted', 'DesiredState'), ('Site', 'Installation'), ('Depth', 'Coverage'), ('Parts', 'ModuleRegistry'), ('Marks', 'OwnershipTags'),
    ('InForce', 'RulesetStatus'), ('Passing', 'ForwardedPacket'), ('EchoFrom', 'PingSource'), ('BegunFrom', 'CtOriginalSource'),
    ('apply_then_open', 'apply_fail_closed'), ('set_parts', 'set_modules'), ('exit_in_use', 'active_exit'),
):
    md(WORD % old, new, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/',
       'README.md')
for old, new in (
    (r'bring\.rs', 'converge.rs'), (r'heal\.rs', 'recover.rs'), (r'\bsite\.rs', 'installation.rs'), (r'wanted\.rs', 'desired_state.rs'),
    (r'told\.rs', 'last_endpoints.rs'), (r'marks\.rs', 'tags.rs'), (r'prove\.rs', 'verify.rs'), (r'\breplace\.rs', 'failover.rs'),
    (r'sabotage\.rs', 'external_changes.rs'), (r'outbox\.rs', 'tx_queue.rs'), (r'\blook\.rs', 'theme.rs'), (r'engine/src/peers\.rs', 'engine/src/peer_changes.rs'),
):
    md(old, new, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/')
# A fault names the file that it changes.
for old, new in MOVES:
    raw(r'^file: %s$' % re.escape(old), 'file: ' + new, 'tests/mutants/', optional=True)
for old, new in ((r'Engine::heal\b', 'Engine::recover'), (r'Engine::bring\b', 'Engine::converge'), (r'Engine::block\b', 'Engine::install_boot_guard'),
                 (r'Change::touch\b', 'Change::mark_dirty')):
    md(old, new, 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'docs/')

# --- Tests ---
TEST_NAMES = """
the_command_that_finishes_a_removal_is_the_one_that_was_given removal_is_finished_by_the_given_command
the_first_mac_is_that_of_the_library_and_covers_everything_before_it first_mac_matches_library_and_covers_message
a_cookie_is_good_for_one_address_and_port cookie_is_valid_for_one_endpoint
a_cookie_is_good_for_two_minutes_at_least_and_four_at_most cookie_is_valid_two_to_four_minutes
a_reply_is_for_the_message_that_it_answers cookie_reply_belongs_to_its_message
without_load_everybody_is_answered_and_nobody_is_limited without_load_all_handshakes_are_answered
an_eighth_of_the_queue_is_load_and_a_second_after eighth_of_queue_is_load_briefly
under_load_a_proven_source_passes_and_one_that_sends_too_much_does_not proven_sources_pass_under_load_rate_limited
a_steady_flood_keeps_the_load_up_and_a_thin_one_does_not only_a_steady_flood_keeps_load_up
clients_get_a_session_at_their_second_message_or_at_the_first_with_a_cookie second_message_gets_session_under_load
a_source_is_an_address_a_network_or_a_socket_of_this_host source_is_address_network_or_local_socket
a_burst_passes_and_then_twenty_in_a_second burst_passes_then_twenty_per_second
who_has_a_whole_site_of_ipv6_gets_ten_times_as_much_and_no_more ipv6_site_gets_ten_times_the_rate
a_source_that_keeps_to_its_rate_is_never_refused source_within_its_rate_is_never_refused
a_flood_of_invented_senders_fills_an_eighth_of_the_queue_and_gets_cookies invented_senders_fill_an_eighth_of_queue
answers_to_what_was_never_asked_are_dropped replies_to_unsent_messages_are_dropped
memory_is_given_back_once_after_a_crowd memory_is_returned_once_after_a_crowd
what_is_freed_bit_by_bit_is_given_back_from_time_to_time memory_freed_slowly_is_returned_periodically
room_is_taken_by_buffers_and_comes_back buffers_take_room_and_return_it
those_who_send_too_much_leave_room_for_the_others heavy_senders_leave_room_for_others
what_takes_more_than_all_room_has_it_alone use_larger_than_all_room_runs_alone
a_lane_on_the_same_core_makes_room_first lane_on_same_core_makes_room_first
a_clock_that_was_set_back_is_told_by_several_initiations clock_set_back_needs_several_initiations
of_a_peer_it_is_said_once_an_hour message_about_a_peer_appears_hourly
what_was_learnt_of_a_way_outlives_the_next_packet learnt_path_outlives_the_next_packet
the_longest_network_wins_and_families_are_apart longest_network_wins_within_its_family
one_that_fills_the_room_takes_nothing_from_others full_peer_takes_no_room_from_others
old_packets_are_dropped_and_the_room_is_free old_packets_are_dropped_and_free_room
a_packet_larger_than_the_room_is_not_kept packet_larger_than_the_room_is_dropped
a_network_moves_to_the_peer_it_is_given_to network_moves_to_its_new_peer
the_device_is_no_peer_of_its_own device_is_not_its_own_peer
some_peers_are_found_in_the_order_asked_for some_peers_are_found_in_requested_order
a_client_whose_clock_was_set_back_is_told_once_and_forgiven_when_it_is_right client_clock_set_back_is_reported_once
a_packet_begins_a_handshake_and_arrives_after_it first_packet_starts_handshake_and_arrives
a_handshake_counts_as_done_when_the_other_end_has_used_it handshake_is_done_at_first_use
the_peer_is_followed_to_where_it_sends_from endpoint_follows_the_peer
a_peer_may_come_before_the_private_key_and_outlives_it peer_may_precede_and_outlive_private_key
a_preshared_key_counts_from_the_next_handshake_on preshared_key_applies_from_next_handshake
replacing_peers_keeps_the_session_of_one_that_is_named_again replacing_peers_keeps_sessions_of_named_ones
timers_of_a_peer_without_a_tunnel_are_not_looked_at timers_of_peers_without_tunnel_are_skipped
a_peer_that_begins_too_often_is_answered_at_its_pace peer_that_initiates_too_often_is_paced
who_knows_a_key_leaves_no_tunnel_behind knowing_a_key_alone_leaves_no_tunnel
packets_wait_for_a_session_and_the_oldest_are_dropped_first waiting_packets_drop_the_oldest_first
peers_that_are_away_get_a_tunnel_in_turns absent_peers_get_a_tunnel_in_turns
a_peer_that_is_busy_keeps_its_tunnel busy_peer_keeps_its_tunnel
packets_for_peers_that_are_away_have_one_room_for_all packets_for_absent_peers_share_one_room
a_path_and_an_abstract_name_are_reached path_and_abstract_socket_are_both_reached
a_socket_that_is_not_there_is_an_error missing_socket_is_an_error
everything_is_written_in_the_form_of_the_protocol reply_follows_the_protocol_format
networks_lose_their_host_bits_and_endpoints_their_ipv6_form host_bits_and_mapped_endpoints_are_normalised
an_error_names_a_line_and_what_is_understood_survives_writing error_names_line_and_text_round_trips
everything_arrives_in_order_and_says_where_it_came_from datagrams_arrive_in_order_with_their_sender
answers_come_from_the_address_that_was_spoken_to_while_there_is_one replies_come_from_the_address_spoken_to
what_cannot_be_sent_does_not_hold_up_the_rest unsendable_datagram_does_not_delay_the_rest
a_port_that_is_given_up_in_a_moment_is_waited_for port_released_in_a_moment_is_awaited
a_port_that_is_taken_for_good_is_refused port_taken_for_good_is_refused
a_live_peer_is_changed_without_ending_its_session changing_a_live_peer_keeps_its_session
the_port_changes_and_the_socket_stays_when_nothing_changes port_changes_and_unchanged_socket_stays
peers_with_a_session_learn_the_new_port_and_others_are_sent_nothing only_peers_with_session_learn_new_port
a_stock_client_gets_in_at_its_second_message_and_at_the_first_with_a_cookie stock_client_gets_in_at_second_message
our_own_client_gets_in_at_its_second_message own_client_gets_in_at_second_message
a_deleted_link_is_the_end_of_an_idle_device deleted_link_ends_an_idle_device
a_deleted_link_is_the_end_of_a_busy_device deleted_link_ends_a_busy_device
a_signal_ends_it_at_once_and_the_link_stays signal_ends_device_and_link_stays
after_a_restart_everything_is_where_it_was restart_restores_everything
a_link_with_offload_can_be_used_without_and_the_other_way_round offload_of_a_link_is_optional
a_link_that_could_not_be_served_is_not_left_behind link_that_cannot_be_served_is_removed
the_socket_is_private_whatever_the_umask_and_the_directory socket_is_private_with_any_umask
the_mtu_is_what_was_asked_for_or_left_alone mtu_is_set_as_asked_or_kept
packets_for_peers_that_are_away_take_a_bounded_part_and_are_given_back packets_for_absent_peers_take_bounded_memory
wireguard_go_shakes_hands_pings_and_transfers_both_ways wireguard_go_connects_and_transfers_both_ways
a_way_of_a_smaller_mtu_costs_speed_but_no_packets smaller_path_mtu_loses_no_packets
the_server_answers_from_the_address_that_the_client_spoke_to server_replies_from_the_address_spoken_to
a_large_set_does_not_hold_up_packets large_set_does_not_delay_packets
a_failure_of_the_host_is_told_by_its_cause host_failure_is_described_by_its_cause
the_hook_sees_every_write_and_may_use_the_host hook_sees_writes_and_may_use_host
the_dump_shows_every_difference_and_no_secret dump_shows_differences_and_no_secret
what_is_allowed_to_one_peer_is_taken_from_another allowed_ips_move_between_peers
peers_keep_their_session_when_they_are_set_anew peers_set_again_keep_their_session
a_kernel_device_lives_and_dies_with_its_link kernel_device_lives_with_its_link
a_refused_change_of_many_peers_stops_half_way refused_change_of_many_peers_stops_halfway
a_host_comes_back_as_often_as_one_likes host_can_be_restored_many_times
what_was_to_happen_after_the_moment_does_not_happen pending_events_after_a_snapshot_are_dropped
while_something_is_to_happen_there_is_no_snapshot pending_events_prevent_a_snapshot
an_image_whose_input_ends_in_a_reject captured_input_chain_ends_in_a_reject
base_chains_are_in_the_order_of_the_kernel base_chains_are_in_kernel_order
the_chain_that_refuses_is_found_whoever_made_it refusing_chain_is_found_whoever_made_it
what_lets_in_or_may_do_so_or_sends_elsewhere_needs_no_accept only_a_certain_refusal_needs_an_accept
nothing_is_opened_behind_what_cannot_be_opened nothing_opens_after_what_cannot_be_opened
an_accept_ends_one_base_chain_and_a_drop_all accept_ends_one_base_chain_drop_all
return_and_goto_go_where_the_kernel_goes return_and_goto_act_as_in_kernel
what_is_not_known_counts_only_if_it_decides unknown_condition_matters_only_if_it_decides
a_reverse_path_filter_asks_for_the_way_back reverse_path_filter_uses_the_return_route
an_answer_to_a_masqueraded_connection_is_known_by_both_of_its_ends reply_to_masqueraded_connection_matches_both_ends
tables_that_cannot_be_read_let_nothing_be_said unreadable_tables_give_no_answer
a_field_that_a_packet_has_not_meets_neither_a_condition_nor_its_reverse missing_packet_field_meets_no_condition
every_table_that_a_rule_names_is_asked_but_the_one_to_skip every_ruled_table_is_asked_except_skipped
a_host_without_routes_and_resolvers_has_its_own_addresses host_without_routes_has_its_own_addresses
requests_are_held_until_the_last_change_has_ended signals_are_held_until_last_change_ends
input_goes_in_and_is_not_an_argument input_is_written_and_not_an_argument
a_program_that_hangs_is_killed_with_all_it_started hanging_program_is_killed_with_its_children
text_beyond_the_bound_is_read_and_dropped text_beyond_the_limit_is_dropped
what_is_started_hears_signals_whatever_the_caller_blocks_and_ignores children_receive_signals_that_caller_blocks
accepts_are_repeated_where_forwarded_packets_are_dropped accepts_are_repeated_where_forwarding_is_dropped
a_table_of_one_family_gets_the_rules_of_that_family table_of_one_family_gets_its_rules
names_that_nft_would_not_take_literally_are_left_alone names_unsafe_for_nft_are_left_alone
tables_of_one_process_are_told_from_others process_owned_tables_are_recognised
a_table_of_one_family_gets_what_suits_it rules_are_filtered_by_table_family
source_nat_for_the_subnet_is_found_in_nftables nftables_source_nat_for_subnet_is_found
rules_of_iptables_that_concern_the_vpn_are_listed iptables_rules_about_the_vpn_are_listed
comments_carry_the_check_sum_of_the_text comments_contain_the_checksum_of_the_text
loaded_rules_are_compared_in_order_with_comment_and_content installed_rules_are_compared_in_order
other_installations_may_stand_in_front_and_others_behind other_installations_may_precede_or_follow
cut_rules_are_not_understood_and_no_panics truncated_rules_are_rejected_without_panic
a_jump_that_is_not_in_front_comes_there_in_the_same_step misplaced_jump_moves_first_in_one_step
the_messages_of_a_datagram_are_taken_apart datagram_is_split_into_its_messages
interruptions_and_errors_are_noticed_wherever_they_stand interruptions_and_errors_are_found_anywhere
what_begins_nothing_comes_in_to_its_destinations_only unsolicited_packets_reach_listed_destinations_only
a_route_of_an_interface_that_is_gone_is_gone route_of_a_removed_interface_is_gone
the_rule_that_the_kernel_would_remove_is_known rule_that_kernel_would_remove_is_known
the_default_route_with_the_lowest_metric_counts default_route_with_lowest_metric_wins
a_server_that_refuses_or_is_not_there_makes_room_at_once failing_nameserver_is_skipped_at_once
a_filter_on_the_way_drops_questions_for_ipv6 filter_on_path_drops_ipv6_questions
an_answer_without_use_is_told_from_none useless_answer_differs_from_no_answer
that_there_is_no_such_name_is_believed_and_ends_the_search nonexistent_name_ends_the_search
by_tcp_alone_where_the_file_says_so tcp_only_when_file_says_so
families_take_turns_and_ipv6_begins_where_the_host_has_it families_alternate_and_ipv6_comes_first
of_thousands_of_addresses_few_are_looked_at only_few_of_many_addresses_are_tried
ipv6_that_leads_nowhere_useful_comes_behind_ipv4 useless_ipv6_comes_after_ipv4
a_cut_answer_is_asked_for_again_by_tcp truncated_answer_is_retried_by_tcp
the_question_is_plain_and_for_one_name_only question_is_plain_and_about_one_name
a_question_goes_by_its_way_and_by_no_other question_uses_only_its_given_source
an_answer_that_is_cut_is_not_asked_for_again_by_another_protocol truncated_tcp_answer_is_not_retried
a_process_descends_from_itself_and_from_who_started_it process_descends_from_itself_and_its_parents
the_last_lines_come_from_both_files_in_order last_lines_span_both_files_in_order
large_files_are_put_aside_and_three_are_kept large_logs_rotate_and_three_remain
a_link_in_its_place_is_not_written_through symlink_in_its_place_is_not_followed
this_process_runs_and_another_of_its_number_does_not reused_process_number_is_not_the_process
a_user_of_its_own_is_given_its_capabilities service_user_is_given_its_capabilities
a_user_of_its_own_serves_root_by_a_second_name service_user_serves_root_by_second_name
a_folder_that_others_are_let_into_is_not_kept_in_private shared_directory_is_not_kept_in_private
what_is_in_a_hurry_loads_nothing_first urgent_unit_loads_nothing_first
only_folders_right_below_run_are_made_for_it only_directories_directly_in_run_are_made
what_it_reads_in_a_home_is_in_its_sight_and_no_more unit_sees_only_named_paths_in_home
the_journal_s_own_lines_are_no_log_lines journal_own_lines_are_not_log_lines
what_is_no_reply_is_an_error_that_tells_no_values malformed_reply_is_an_error_without_values
a_device_without_our_addition_is_asked_for_all stock_device_is_asked_for_everything
a_refusal_is_told_and_not_asked_twice refusal_is_reported_and_not_retried
a_device_that_hangs_is_named_and_told_nothing hanging_device_is_named_and_told_nothing
the_module_is_found_in_the_lists_of_real_kernels module_is_found_in_real_kernel_lists
a_peer_with_five_thousand_networks_is_split peer_with_five_thousand_networks_is_split
a_peer_that_continues_in_the_next_datagram_is_one_peer peer_across_two_datagrams_is_one_peer
any_peers_survive_the_way_to_the_kernel any_peers_survive_the_kernel_round_trip
whoever_reads_waits_less_and_learns_what_was_silent reader_waits_less_and_learns_silent_part
it_is_the_head_and_a_block_for_each_peer file_is_head_and_block_per_peer
lines_may_come_in_any_order_behind_the_head lines_after_the_head_in_any_order
applying_twice_plans_nothing_and_nothing_leaves_no_trace applying_twice_is_empty_and_removal_traceless
a_service_is_started_again_for_its_new_program_when_that_is_asked_for_and_nobody_notices new_program_restarts_service_on_request
part_of_a_service_s_start_waits_for_no_other_service service_hook_does_not_wait_for_dependents
a_change_of_the_backend_makes_the_interface_anew backend_change_recreates_the_interface
many_peers_go_to_the_device_in_some_requests many_peers_take_few_requests
a_plan_is_not_applied_with_another_state plan_is_not_applied_with_another_state
a_stopped_interface_stays_down_and_its_unit_stays_installed stopped_interface_stays_down_with_unit_installed
what_is_not_ours_is_reported_and_left_alone foreign_object_is_reported_and_kept
a_file_without_our_mark_is_ours_by_the_key_in_it_alone untagged_file_is_ours_by_key_only
a_unit_that_is_not_ours_is_left_alone_and_stops_nothing_but_what_needs_it foreign_unit_is_kept_stopping_dependents_only
a_link_without_our_mark_is_ours_by_its_key_alone untagged_link_is_ours_by_key_only
what_a_person_did_to_our_objects_is_repaired manual_changes_to_our_objects_are_repaired
a_setting_of_an_interface_is_made_when_the_interface_is_there_and_again_when_it_is_a_new_one interface_sysctl_is_reapplied_on_recreated_link
a_route_by_an_interface_comes_and_goes_with_it interface_route_comes_and_goes_with_it
a_file_that_was_begun_to_be_written_goes_and_others_of_its_kind_stay unfinished_temp_file_goes_and_others_stay
a_start_whose_caller_was_killed_is_begun_again_where_nobody_else_goes_on_with_it interrupted_start_is_begun_again
a_copy_that_somebody_made_of_a_file_of_ours_stays operator_copy_of_our_file_stays
what_the_kernel_takes_for_the_wanted_one_goes_first object_confused_with_desired_goes_first
what_goes_is_closed_until_it_is_gone_and_what_comes_before_it_is_there packets_stay_blocked_while_objects_are_replaced
the_servers_are_those_of_the_lines_that_name_one servers_come_from_nameserver_lines
a_file_that_says_nothing_means_what_the_manual_says empty_file_means_the_manual_defaults
options_count_within_their_bounds_and_the_last_list_counts options_are_bounded_and_last_list_wins
causes_are_in_the_language_of_the_call causes_are_in_the_language_asked_for
a_phrase_is_known_by_all_of_its_words phrase_is_recognised_by_all_its_words
every_request_of_the_host_has_its_words every_host_request_has_its_words
the_process_dies_before_or_after_a_write process_dies_before_or_after_a_write
what_goes_with_a_link_on_the_fake what_goes_with_link_on_fake
a_secret_is_never_wider_than_asked_not_even_while_it_is_written secret_file_is_never_wider_than_asked
readers_see_the_old_or_the_new_file_and_nothing_between readers_see_old_or_new_file_only
what_killed_writers_left_goes_with_the_next_write_or_removal next_write_removes_leftovers_of_killed_writers
links_in_the_last_place_are_not_followed symlink_as_last_component_is_not_followed
a_write_that_fails_leaves_the_old_file_and_no_other failed_write_leaves_only_the_old_file
what_others_have_put_in_the_place_of_a_file_is_not_waited_for foreign_object_at_the_path_never_blocks
links_that_others_may_have_made_are_not_followed symlinks_by_other_users_are_not_followed
what_is_written_is_on_the_disk_before_it_has_its_name_and_the_name_is_thereafter content_is_synced_before_rename_directory_after
nothing_is_waited_for_that_holds_no_content special_files_are_never_waited_for
packets_are_forwarded_only_with_the_repeated_accepts forwarding_needs_the_repeated_accepts
one_who_closes_or_opens_later_is_noticed later_closing_or_opening_is_noticed
tables_that_iptables_no_longer_understands_are_taken_as_nftables unreadable_iptables_tables_are_taken_as_nftables
a_table_that_belongs_to_a_process_is_left_alone process_owned_table_is_left_alone
with_iptables_the_other_implementation_is_looked_at_too iptables_also_checks_the_other_implementation
rules_are_loaded_read_back_and_removed_without_trace rules_load_read_back_and_vanish
ports_are_let_in_where_others_would_refuse ports_are_accepted_where_others_refuse
what_cannot_be_read_stays_as_it_is_and_holds_up_nothing unreadable_tables_stay_and_block_nothing
what_is_closed_or_opened_later_is_noticed later_closing_or_opening_is_noticed
a_table_that_belongs_to_a_process_stays_as_it_is_and_is_named process_owned_table_stays_and_is_named
our_own_rules_are_reported_on_every_kind own_rules_are_reported_on_every_kind
rules_come_and_go_and_ufw_is_as_before rules_come_and_go_leaving_ufw_unchanged
a_rule_of_the_operator_is_given_back operator_rule_is_restored
a_rule_of_ours_that_is_turned_goes_to_the_front inverted_rule_of_ours_moves_to_front
packets_pass_an_active_ufw_by_its_own_rule packets_pass_active_ufw_by_its_rule
an_address_with_a_far_end_is_removed_and_one_that_went_with_another_is_absent address_with_peer_end_is_removed
routes_of_the_exit_table_come_and_go exit_table_routes_come_and_go
routes_that_the_kernel_would_change_or_cannot_have_are_refused impossible_or_changed_routes_are_refused
a_daemon_starts_reports_logs_reloads_and_stops daemon_starts_reports_logs_reloads_and_stops
one_that_does_not_end_is_killed_with_its_children stubborn_daemon_is_killed_with_children
a_stale_process_file_is_no_running_service_and_harms_nobody stale_process_file_is_ignored_safely
a_start_that_was_cut_short_is_begun_again interrupted_start_is_begun_again
one_whose_process_file_is_lost_is_known_and_ended daemon_without_process_file_is_ended
commands_after_start_and_stop_are_not_confined start_and_stop_commands_are_not_confined
a_service_may_ask_for_another_that_is_ordered_after_it service_may_request_one_ordered_after_it
a_one_shot_may_do_what_its_description_says_and_no_more one_shot_may_only_what_it_declares
what_was_asked_for_comes_back_from_json requested_value_round_trips_through_json
the_sentence_about_a_clients_name_is_the_contracts_and_the_character_is_beside_it client_name_error_is_the_contract_sentence
what_is_wrong_with_a_name_is_told invalid_name_is_explained
names_addresses_and_subnets_have_their_own_errors names_addresses_and_subnets_have_own_errors
names_come_before_what_is_missing_and_that_before_kinds unknown_names_precede_missing_ones_and_kinds
a_cause_says_the_same_in_both_languages cause_is_the_same_in_both_languages
a_copy_is_due_once_a_day_and_holds_what_was_stored copy_is_due_daily_with_stored_content
seven_are_kept_and_none_for_longer_than_a_week_but_the_newest seven_copies_remain_for_a_week
files_of_the_host_are_kept_as_long_and_are_no_copy_of_the_state host_files_are_kept_apart_from_copies
a_copy_of_a_database_that_is_gone_by_now_gets_no_name copy_of_removed_database_gets_no_name
a_damaged_page_is_noticed_by_the_next_change_of_a_small_database damaged_page_stops_the_next_small_change
a_damaged_page_of_a_larger_database_is_noticed_when_it_is_copied_and_costs_no_older_copy damaged_large_database_spares_older_copies
a_database_that_cannot_be_read_is_kept_as_it_is_with_its_log unreadable_database_is_kept_with_its_log
what_is_no_database_of_this_system_is_refused_and_left_as_it_is foreign_database_is_refused_and_kept
a_directory_in_the_place_of_the_database_is_refused directory_in_place_of_database_is_refused
a_file_in_the_place_of_a_directory_cannot_be_written file_in_place_of_directory_is_refused
an_install_directory_is_made_with_those_above_it install_directory_is_made_with_its_parents
another_file_at_the_path_is_noticed_and_its_predecessors_log_is_not_its_own replaced_database_ignores_the_old_log
every_connection_has_the_settings_that_make_it_safe every_connection_has_safe_settings
the_log_stays_short_however_many_processes_write_one_after_the_other log_stays_short_with_many_writers
after_a_change_of_the_server_or_a_large_one_the_database_is_complete_without_its_log database_is_complete_without_log_after_change
a_copy_is_complete_private_and_never_overwrites copy_is_complete_private_and_never_overwrites
what_stands_open_is_closed_by_the_next_change wide_modes_are_narrowed_by_next_change
a_program_that_locks_the_database_does_not_disturb_readers locking_program_does_not_disturb_readers
a_change_keeps_such_a_program_out_from_its_beginning change_excludes_locking_program_from_its_start
a_log_that_another_program_removed_is_made_again log_removed_by_others_is_recreated
a_walk_over_all_clients_holds_little_of_the_database_in_memory walking_all_clients_uses_little_memory
links_that_others_may_have_made_are_refused symlinks_by_other_users_are_refused
what_was_opened_is_changed_and_not_what_took_its_name opened_object_is_changed_not_its_replacement
a_directory_has_the_mode_it_is_made_with directory_gets_its_mode_when_made
there_is_one_holder_and_the_others_learn_who_it_is lock_has_one_named_holder
a_number_left_behind_by_a_dead_process_names_nobody number_of_a_dead_process_names_nobody
a_lock_on_a_file_that_was_replaced_is_not_the_lock lock_on_a_replaced_file_is_void
its_file_and_directory_are_private_and_what_cannot_be_made_is_an_error lock_files_are_private_and_failures_reported
a_copy_of_the_open_file_does_not_keep_the_lock copied_descriptor_does_not_keep_the_lock
a_module_reads_and_writes_its_own_tables module_reads_and_writes_its_own_tables
steps_are_taken_once_and_in_their_order_with_a_copy_before migrations_run_once_in_order_after_copy
an_older_program_refuses_newer_tables_and_one_without_the_module_does_not_care older_program_refuses_newer_module_tables
a_step_that_fails_leaves_everything_as_it_was failed_step_changes_nothing
a_copy_comes_back_with_the_tables_of_its_modules copy_restores_the_tables_of_modules
the_default_root_has_no_suffix_in_any_spelling default_root_has_no_suffix_however_spelt
another_root_has_a_suffix_that_never_changes other_root_has_a_stable_suffix
a_link_to_a_root_is_the_same_installation_before_and_after_it_is_made symlinked_root_is_the_same_installation
all_that_is_stored_goes_and_the_new_server_is_there reset_empties_state_and_stores_new_server
it_can_be_finished_from_wherever_it_was_cut_short reset_resumes_from_any_interruption
without_a_server_the_system_was_never_set_up without_a_server_nothing_is_set_up
nothing_happens_without_a_reset_and_nothing_is_followed_out_of_the_installation reset_never_leaves_the_installation
what_was_copied_is_stored_again_and_no_id_is_given_twice restore_never_reuses_an_id
a_damaged_database_is_replaced_and_so_is_one_that_is_gone damaged_or_missing_database_is_replaced
what_is_no_sound_copy_of_ours_is_refused_and_changes_nothing unsound_copy_is_refused_without_change
a_copy_of_an_older_version_is_brought_up_to_date_and_itself_stays_as_it_was restored_older_copy_is_migrated
whoever_reads_meanwhile_sees_one_state_and_is_waited_for concurrent_readers_see_one_state
the_first_change_keeps_room_back_for_its_owner_alone first_change_reserves_room_for_root_alone
room_is_not_given_while_there_is_space_enough reserved_room_stays_while_space_is_enough
a_change_that_stores_nothing_is_counted_and_writes_no_page_before_its_commit change_without_writes_is_counted
the_marker_is_there_until_it_is_cleared marker_lasts_until_cleared
a_marker_that_makes_no_sense_is_one_all_the_same malformed_marker_is_still_a_marker
the_id_of_the_run_is_made_once_and_is_the_same_for_all run_id_is_made_once_for_all
the_id_of_an_earlier_start_counts_for_nothing id_of_an_earlier_boot_is_ignored
another_run_has_another_id_and_an_empty_file_is_none other_run_has_other_id
an_older_schema_is_brought_up_to_date_and_keeps_what_it_holds older_schema_is_migrated_with_its_content
version_2_keeps_every_client_and_gives_each_an_id_and_a_secret version_2_gives_clients_id_and_secret
nobody_from_outside_reaches_clients_until_somebody_says_so outside_access_to_clients_defaults_to_off
version_4_keeps_the_server_and_lets_it_be_without_ipv4 version_4_allows_servers_without_ipv4
version_5_keeps_all_that_version_4_holds version_5_keeps_content_of_version_4
a_first_change_brings_an_older_schema_up_to_date_for_those_who_read_meanwhile readers_survive_a_migrating_first_change
a_migration_leaves_no_key_of_a_client_behind_that_is_removed_later migration_leaves_no_key_after_removal
a_copy_of_the_older_schema_is_kept_and_without_one_nothing_is_brought_up_to_date migration_requires_a_copy_of_older_schema
a_step_that_fails_leaves_the_older_schema failed_step_leaves_the_older_schema
without_a_database_everything_is_empty_and_nothing_is_created missing_database_reads_empty_and_stays_missing
a_new_database_has_the_same_defaults_as_none new_database_has_the_same_defaults
tunnel_secrets_are_those_of_the_clients_that_may_connect tunnel_secrets_are_of_permitted_clients
a_client_is_found_by_its_exact_name_and_taken_in_any_case client_lookup_is_exact_uniqueness_ignores_case
each_client_comes_by_address_and_the_first_error_ends_it clients_stream_by_address_until_first_error
a_reader_sees_one_state_and_does_not_wait_while_a_writer_writes reader_sees_one_state_during_a_write
a_page_is_read_from_an_index_and_costs_no_sorting page_comes_from_an_index_without_sorting
pages_and_searches_are_those_of_a_naive_list pages_and_searches_match_a_naive_list
the_server_comes_back_as_it_was_stored server_round_trips
settings_servers_documents_and_backups_come_back_as_they_were_stored settings_servers_documents_and_backups_round_trip
the_generation_grows_by_one_with_every_commit_that_wrote_something generation_grows_with_every_writing_commit
a_client_is_refused_for_its_name_its_key_and_for_want_of_room client_is_refused_by_name_key_room
an_ipv6_address_is_the_one_chosen_or_the_next_free_one_of_the_prefix ipv6_address_is_chosen_or_next_free
a_client_without_keys_and_with_networks_behind_it_comes_back_as_it_was_stored keyless_client_with_networks_round_trips
a_mapping_that_does_not_fit_is_refused_before_anything_is_written incomplete_mapping_is_refused_before_any_write
ten_thousand_clients_move_to_another_subnet_in_no_time ten_thousand_clients_move_subnet_quickly
a_removed_client_leaves_no_key_in_the_database removed_client_leaves_no_key_in_database
addresses_are_given_as_by_a_naive_model addresses_are_assigned_like_a_naive_model
what_is_said_can_be_read_by_everybody_and_taken_back note_is_readable_by_all_and_removable
a_folder_that_was_only_half_made_is_opened half_made_directory_is_completed
what_is_due_is_said_and_taken_back due_time_is_written_and_removed
a_change_is_said_as_long_as_its_marker_is_there change_is_noted_while_its_marker_exists
a_hundred_processes_add_a_client_each_while_others_read hundred_processes_add_clients_while_others_read
a_hundred_processes_begin_with_an_empty_directory hundred_processes_start_in_empty_directory
the_lock_says_who_holds_it_and_ends_with_its_holder lock_names_holder_and_ends_with_it
a_process_killed_within_a_change_has_changed_nothing process_killed_during_change_changes_nothing
what_a_killed_process_had_committed_is_there_and_nothing_is_half_done killed_process_keeps_what_it_committed
a_process_killed_while_it_restores_leaves_one_state_or_the_other killed_restore_leaves_one_whole_state
nothing_is_open_to_others_at_any_moment_whatever_the_umask files_are_private_with_any_umask
a_full_disk_refuses_changes_and_loses_nothing full_disk_refuses_changes_and_loses_nothing
a_full_disk_can_be_read_even_without_the_index_of_the_log full_disk_is_readable_without_log_index
a_read_only_file_system_can_be_read read_only_file_system_is_readable
space_that_was_reserved_is_there_for_the_commit_however_full_the_disk_gets reserved_space_serves_commit_on_full_disk
a_client_is_removed_from_a_full_disk_by_the_room_that_is_kept_back reserved_room_lets_full_disk_remove_client
a_disk_without_room_for_a_copy_stops_no_new_schema missing_room_for_copy_allows_migration
a_process_killed_while_it_brings_the_schema_up_to_date_leaves_the_older_one killed_migration_leaves_the_older_schema
public_addresses_are_none_of_the_special_ranges public_addresses_exclude_special_ranges
text_json_and_schema_have_the_same_words text_json_and_schema_agree
the_layout_is_that_of_the_api_s_sample layout_matches_the_contract_sample
files_of_other_kinds_are_known_by_their_signs files_of_other_kinds_are_recognised
a_line_that_cannot_be_used_is_named_by_number_and_key unusable_line_is_named_with_key
a_file_of_another_kind_is_told_by_its_kind file_of_another_kind_is_named
no_secret_is_shown_whatever_became_of_its_line errors_never_show_a_secret
no_lines_make_it_panic_and_what_is_read_is_complete any_lines_parse_without_panic
a_block_in_another_dialect_goes_as_well peer_block_in_another_dialect_is_understood
appended_to_any_text_a_block_can_be_removed_again appended_block_can_be_removed_again
sixty_thousand_clients_with_the_same_beginning_have_files_of_their_own similar_client_names_have_distinct_files
a_host_is_an_address_or_a_domain host_is_an_address_or_a_domain
an_end_point_has_every_name_that_wg_resolves endpoint_accepts_every_name_wg_resolves
an_international_name_is_told_in_its_ascii_form international_name_is_shown_in_ascii
json_is_the_text_and_the_schema_names_the_format json_is_text_and_schema_names_format
what_is_read_prints_and_reads_the_same parsed_value_prints_and_parses_the_same
the_public_key_is_that_of_rfc_7748 public_key_matches_rfc_7748
points_of_low_order_are_told_from_keys low_order_points_are_not_keys
a_secret_is_of_the_alphabet_and_comes_back secret_uses_its_alphabet_and_round_trips
bytes_that_favour_some_characters_are_asked_for_again biased_random_bytes_are_redrawn
the_secret_of_a_client_does_not_show_itself client_secret_does_not_show_itself
the_text_of_a_clients_secret_is_all_of_its_bytes client_secret_text_holds_all_its_bytes
an_address_is_named_as_in_every_url address_is_written_as_in_urls
one_address_gives_the_list_of_the_api_s_example one_address_gives_the_contract_list
order_repetition_overlap_and_host_bits_do_not_count order_repetition_overlap_and_host_bits_vanish
one_address_gives_as_many_networks_as_it_has_bits one_address_gives_one_network_per_bit
the_reasons_of_the_operating_system_are_turkish operating_system_reasons_are_turkish
clients_keep_their_host_number_and_the_others_take_the_lowest_free_one clients_keep_host_number_or_take_lowest
a_remap_gives_every_client_its_own_usable_address remap_gives_every_client_a_usable_address
sizes_are_those_of_a_floating_point_division sizes_match_floating_point_division
a_lock_is_named_as_the_kernel_names_it lock_is_named_as_in_the_kernel
wg_quick_takes_the_file_of_every_client wg_quick_accepts_every_client_file
sizes_and_ages_are_in_the_words_of_wg sizes_and_ages_are_worded_like_wg
what_is_asked_for_follows_from_the_words arguments_decide_what_is_asked_for
a_repeated_key_of_an_object_is_found repeated_key_of_an_object_is_found
a_field_means_what_it_says_itself_then_its_schema_then_english field_description_has_three_sources_in_order
every_field_of_every_answer_has_a_turkish_text every_answer_field_has_turkish_text
an_address_is_taken_once_in_its_order addresses_are_taken_once_in_order
a_name_that_nobody_knows_has_no_address unknown_name_has_no_address
what_cannot_be_done_is_one_line_and_exit_1 failure_is_one_line_and_exit_1
names_that_are_none_are_nobody_s_and_shown_on_one_line invalid_names_are_unknown_and_shown_safely
what_is_not_clear_gives_the_usage_and_exit_2 unclear_command_gives_usage_and_exit_2
texts_that_were_asked_for_go_to_standard_output requested_texts_go_to_standard_output
the_option_counts_more_than_the_variable_and_that_more_than_the_setting option_precedes_variable_which_precedes_setting
options_stand_before_and_behind_in_both_forms options_are_accepted_anywhere_in_both_forms
a_reader_that_goes_away_is_no_reason_to_complain_loudly closed_output_is_no_loud_error
the_lines_of_the_documents_stay_in_order hosts_lines_stay_in_documented_order
the_name_is_written_down_with_every_address_and_none_of_them_enters_the_tunnel every_address_of_name_bypasses_the_tunnel
the_commands_add_whole_lines_and_take_away_no_others commands_add_and_remove_whole_lines_only
windows_users_are_told_what_would_block_the_tunnel_s_own_connection windows_users_learn_what_blocks_the_tunnel
what_cannot_be_the_server_is_not_believed implausible_server_addresses_are_ignored
a_private_address_counts_where_the_operator_knows_it private_address_counts_if_operator_named_it
after_a_move_the_new_address_is_written_down new_address_appears_after_a_move
a_new_file_is_for_its_owner_alone new_file_is_private_to_its_owner
a_file_in_its_place_is_replaced_as_a_whole existing_file_is_replaced_as_a_whole
a_symbolic_link_is_replaced_and_not_followed symlink_is_replaced_and_not_followed
what_is_no_file_is_refused_and_stays non_file_is_refused_and_stays
a_failure_leaves_the_file_as_it_was failure_leaves_the_file_unchanged
one_address_is_left_out_by_exactly_32_networks one_address_is_excluded_by_32_networks
every_a_record_that_was_accepted_is_left_out_beside_the_server_s_address accepted_a_records_are_excluded_too
the_ipv6_address_of_the_server_is_left_out_too server_ipv6_address_is_excluded_too
what_the_name_leads_to_now_is_left_out_beside_what_it_led_to current_and_earlier_addresses_are_excluded
a_server_that_has_ipv6_alone_is_left_out_alone ipv6_only_server_is_excluded_alone
a_client_with_an_ipv6_address_of_its_own_keeps_it client_ipv6_address_is_kept
without_ipv6_at_the_server_all_of_it_is_kept_from_leaking_unless_the_setting_says_otherwise ipv6_is_blocked_without_server_ipv6
an_address_that_is_the_servers_name_is_left_out server_named_by_address_is_excluded
the_text_is_that_of_the_api_in_both_languages text_matches_contract_in_both_languages
rules_are_80_columns_and_no_line_ends_in_a_blank rules_are_80_columns_without_trailing_blanks
the_json_is_that_of_the_api_and_that_of_the_other_command json_matches_contract_and_other_command
the_configuration_leads_into_the_tunnel_whatever_is_stored configuration_always_leads_into_the_tunnel
what_is_changed_shows_in_the_next_export changes_appear_in_the_next_export
a_certificate_is_verified_where_it_can_be certificate_is_verified_where_possible
the_file_has_a_name_that_no_other_client_has file_name_is_unique_to_the_client
the_port_is_that_of_the_web_server_in_front port_is_that_of_the_front_server
a_long_list_is_cut_and_says_so long_list_is_cut_and_says_so
a_long_map_is_cut_and_says_so long_map_is_cut_and_says_so
a_secret_stays_whole_where_it_fits_on_a_line secret_stays_whole_if_it_fits
a_cell_says_what_it_has_room_for cell_is_shortened_to_its_width
what_is_pasted_takes_the_place_of_a_proposal_and_of_nothing_that_was_typed paste_replaces_a_proposal_but_not_typing
nothing_in_it_does_anything_to_the_terminal control_characters_never_reach_the_terminal
a_long_line_takes_the_rows_that_it_needs long_line_takes_several_rows
the_work_that_ran_is_waited_for_and_nothing_else only_the_running_work_is_awaited
a_signal_ends_a_wait_but_no_change signal_ends_a_wait_but_no_change
words_for_people_are_turkish_and_those_for_programs_stay texts_are_turkish_and_identifiers_stay
a_rate_needs_time_and_a_count_that_grows rate_needs_time_and_a_growing_count
a_page_beyond_the_end_is_the_last_one page_beyond_the_end_is_the_last
every_step_has_a_whole_sentence_in_both_languages every_step_is_worded_in_both_languages
a_limit_says_from_when_on_it_is_worth_asking rate_limit_says_when_to_retry
a_refusal_may_say_when_to_come_back refusal_may_say_when_to_retry
addresses_are_asked_for_by_their_reverse_names addresses_are_requested_by_reverse_names
a_tls_answer_is_there_only_while_it_is_installed tls_answer_exists_only_while_installed
an_http_answer_is_found_under_its_token_only http_answer_is_found_by_its_token
both_families_are_listened_on_without_an_address both_families_are_listened_on_by_default
a_self_signed_certificate_is_made_once_and_passes_inspection self_signed_certificate_is_made_once
a_whole_chain_is_usable_for_each_of_its_names whole_chain_is_usable_for_every_name
only_its_own_time_is_valid_and_to_the_second validity_period_is_exact_to_the_second
an_error_names_what_the_certificate_is_for error_names_the_certificate_subject
files_are_read_and_what_cannot_be_read_is_named files_are_read_and_unreadable_ones_named
renewal_is_at_two_thirds_and_soon_after renewal_is_at_two_thirds_of_life
without_a_certificate_the_first_attempt_is_now_and_the_next_waits without_certificate_first_attempt_is_immediate
every_life_sees_many_attempts_and_none_too_many every_lifetime_has_a_bounded_attempt_count
a_clock_that_jumps_delays_nothing_for_long clock_jump_delays_nothing_for_long
a_revoked_certificate_is_renewed_at_once_but_not_without_end revoked_certificate_is_renewed_with_bounded_attempts
an_authority_that_takes_no_request_gets_none authority_that_takes_no_request_gets_none
the_hours_limit_of_failed_validations_is_kept hourly_limit_of_failed_validations_is_kept
a_certificate_covers_its_name_for_a_year certificate_covers_its_name_for_a_year
a_certificate_is_found_again_and_closed_to_others certificate_is_found_again_and_private
a_write_that_was_cut_short_leaves_the_old_pair_and_is_swept_up interrupted_write_keeps_old_pair
a_replacement_without_exchange_that_was_cut_short_is_undone_or_completed interrupted_replacement_is_undone_or_completed
a_file_system_without_flags_is_repaired_as_well file_system_without_exchange_is_repaired_too
by_which_challenge_it_came_is_noted_with_it challenge_kind_is_stored_with_the_certificate
readers_never_see_a_mixture_while_writers_exchange readers_never_see_a_mixed_pair
an_open_directory_is_closed_and_a_foreign_one_refused wide_directory_is_narrowed_foreign_one_refused
http_is_tried_when_tls_does_not_do http_is_tried_when_tls_fails
a_renewal_takes_a_new_key_and_the_same_account renewal_uses_new_key_and_same_account
a_fresh_certificate_is_used_again_without_the_authority fresh_certificate_is_reused_without_the_authority
a_failure_keeps_the_old_certificate_and_tells_the_authoritys_words failure_keeps_certificate_and_quotes_authority
a_forgotten_or_damaged_account_is_made_anew lost_or_damaged_account_is_recreated
an_answer_is_taken_away_when_time_is_up answer_is_removed_after_a_timeout
an_authority_that_is_not_trusted_is_told_nothing untrusted_authority_is_told_nothing
an_address_gets_the_short_profile_and_a_name_the_usual_one addresses_get_the_short_profile
the_authority_is_asked_when_to_renew_and_told_what_is_replaced authority_advises_renewal_and_learns_replacement
what_cannot_be_replaced_is_renewed_all_the_same irreplaceable_certificate_is_renewed_anyway
a_used_up_limit_says_when_it_is_worth_asking_again exhausted_limit_says_when_to_retry
the_keeper_sees_the_operators_files_and_where_they_lead keeper_sees_operator_files_and_their_targets
the_socket_is_in_a_folder_that_can_be_the_servers_own socket_directory_can_belong_to_the_server
sockets_of_tunnel_servers_are_known_by_their_folder tunnel_server_sockets_are_known_by_directory
an_end_without_an_answer_is_an_error_of_the_host exit_without_an_answer_is_host_error
an_authority_has_its_time_and_what_it_tried_is_told authority_has_time_and_attempts_are_reported
a_program_that_is_missing_is_an_error_of_the_host missing_program_is_a_host_error
every_sentence_of_the_program_has_its_turkish every_program_sentence_has_turkish
ghost_mode_comes_back_as_it_was_stored ghost_mode_round_trips
a_path_that_is_no_text_cannot_be_stored path_that_is_not_text_is_refused
words_of_a_list_are_found_wherever_they_are list_words_are_found_anywhere
what_is_wrong_is_named_but_no_stray_word errors_name_options_but_no_stray_argument
every_wait_lies_in_its_range_for_ever every_wait_stays_in_its_range
all_addresses_of_a_name_are_tried_to_the_end every_address_of_a_name_is_tried
neither_a_silent_resolver_nor_a_silent_address_is_waited_for silent_resolver_or_address_is_not_awaited
a_name_is_looked_up_when_the_known_address_fails name_is_resolved_when_known_address_fails
not_every_address_of_a_name_is_tried addresses_tried_per_name_are_bounded
a_refused_login_is_not_tried_at_the_next_address refused_login_ends_the_address_search
an_address_comes_back_for_the_same_server_alone remembered_address_belongs_to_its_server
what_is_in_the_way_is_an_error_and_nothing_is_left obstacle_is_an_error_without_leftovers
a_pipe_in_its_place_is_not_waited_for pipe_in_its_place_is_not_awaited
this_machine_reaches_itself_and_nothing_has_moved machine_reaches_itself_and_nothing_has_moved
a_way_is_gone_with_its_hop_or_its_address route_is_gone_with_hop_or_address
the_request_names_the_server_and_the_user request_names_the_server_and_the_user
what_is_missing_or_wrong_is_said_without_the_secret invalid_options_are_reported_without_the_secret
what_is_no_frame_is_refused_at_once invalid_frame_is_refused_at_once
a_frame_of_ours_has_the_known_bytes own_frame_has_the_known_bytes
the_decoder_holds_no_more_than_a_frame decoder_holds_at_most_one_frame
a_source_is_no_address_that_every_program_of_the_machine_has source_address_must_belong_to_the_server
only_the_servers_own_socket_is_told_anything only_the_server_socket_receives_secrets
it_is_asked_once_and_again_when_its_answer_says authority_is_asked_once_per_announced_interval
one_that_cannot_be_asked_is_asked_more_and_more_seldom unreachable_authority_is_asked_less_often
lines_are_read_and_what_is_being_written_is_not complete_lines_are_read_unfinished_ones_wait
a_file_is_news_when_it_has_changed file_is_news_when_it_has_changed
a_wrong_file_is_told_without_its_text invalid_file_is_reported_without_its_text
a_site_has_ordinary_files_only_and_bounds site_has_ordinary_files_within_limits
it_is_ready_once_and_pushes_again_after_every_connection ready_once_and_pushes_after_each_connection
a_change_is_pushed_and_no_change_is_not only_changes_are_pushed
what_is_wrong_leaves_what_is_in_force invalid_input_keeps_what_is_in_force
an_absent_server_is_tried_more_and_more_seldom_and_a_refusing_one_still_more absent_server_is_retried_less_often
a_certificate_is_renewed_and_the_new_one_pushed certificate_is_renewed_and_pushed
an_authority_is_not_asked_again_at_once_when_the_files_are_others new_files_do_not_hasten_the_authority
a_status_is_written_when_it_changes_only status_is_written_only_when_it_changes
files_are_read_from_time_to_time_and_after_a_clock_was_set_back files_are_reread_after_a_clock_change
who_renews_by_hand_is_told_in_time manual_renewal_is_announced_in_time
attempts_of_a_keeper_before_this_one_count attempts_of_an_earlier_keeper_count
the_authoritys_suggestion_decides_and_a_new_certificate_asks_again authority_advice_decides_until_new_certificate
an_authority_that_cannot_be_asked_is_no_trouble unreachable_authority_is_no_error
behind_a_web_server_there_is_no_certificate_to_watch front_server_needs_no_certificate_watch
a_removed_client_is_told_although_the_certificate_is_broken broken_certificate_does_not_delay_client_removal
a_server_of_before_gets_the_clients_among_the_operators_secrets older_server_gets_clients_among_operator_secrets
a_web_server_is_told_with_the_address_that_strangers_come_from front_server_is_passed_with_source_address
a_link_to_the_newest_files_is_followed link_to_the_newest_files_is_followed
a_change_while_the_server_comes_back_reaches_it change_during_server_restart_reaches_it
attempts_at_a_certificate_outlive_a_keeper_that_is_killed attempts_outlive_a_killed_keeper
a_change_is_not_lost_with_the_call_that_noticed_it change_survives_the_cancelled_wait
only_what_is_named_counts_and_a_folder_may_come_back named_files_count_and_directory_may_return
without_the_kernels_help_it_is_time_to_look_each_minute without_inotify_files_are_checked_each_minute
the_first_is_that_of_the_largest_group_of_the_largest_region oldest_of_largest_group_goes_first
addresses_of_ipv6_share_a_network_if_they_share_its_bits ipv6_addresses_share_network_by_prefix
addresses_of_ipv4_share_a_network_if_they_share_24_bits ipv4_addresses_share_network_by_24_bits
networks_take_turns_and_so_do_their_parts networks_and_their_parts_take_turns
a_full_share_drops_the_oldest_that_said_least full_share_drops_oldest_that_said_least
strangers_without_a_request_take_no_place_of_those_with_one silent_strangers_displace_no_request
a_tunnel_takes_the_place_of_a_visit tunnel_displaces_a_visit
a_network_that_has_all_its_places_makes_room_itself full_network_displaces_its_own
a_site_has_its_share_beside_that_of_its_networks site_has_a_share_beside_its_networks
handshakes_are_a_rate_per_network_and_per_site handshakes_are_limited_per_network_and_site
many_networks_of_one_region_do_not_shut_a_newcomer_out crowded_region_does_not_exclude_newcomers
a_handshake_that_was_granted_keeps_its_place_before_others granted_handshake_keeps_its_place
errors_are_held_back_when_there_are_many many_errors_are_throttled
there_is_room_for_what_the_process_may_open limits_fit_the_open_file_limit
answers_are_complete_when_their_length_is_there answers_are_complete_at_their_length
a_good_request_is_good_and_the_wrong_ones_are_requests probe_requests_are_as_intended
a_difference_is_found_and_none_is_not timing_difference_is_found_only_if_real
the_old_hello_is_a_hello_and_the_broken_one_is_not old_hello_is_valid_broken_one_not
records_are_handed_out_singly_however_they_came records_are_delivered_one_by_one
messages_of_a_handshake_count_and_no_others only_handshake_messages_are_counted
the_start_and_handshakes_are_padded_and_nothing_else only_start_and_handshakes_are_padded
what_came_with_the_upgrade_is_not_lost bytes_sent_with_upgrade_are_kept
junk_is_dropped_and_pings_are_answered_with_their_payload junk_is_dropped_and_pings_are_answered
what_came_before_the_end_of_the_stream_arrives data_before_end_of_stream_arrives
three_misses_end_it_and_traffic_saves_the_ping three_missed_pings_end_the_tunnel
a_flood_of_pings_is_not_answered_without_bound ping_flood_is_answered_within_bounds
a_tunnel_request_is_told_from_its_first_bytes tunnel_request_is_recognised_by_first_bytes
nothing_panics_and_more_bytes_never_heal_a_fault more_bytes_never_repair_a_fault
a_digest_is_that_of_everybody_and_comes_back digest_matches_standard_and_round_trips
a_body_ends_where_it_is_told_to body_ends_at_its_declared_length
a_token_in_the_cookie_is_served_without_a_subprotocol cookie_token_is_served_without_subprotocol
a_request_is_there_when_its_head_is_whole request_is_complete_with_its_head
a_shared_secret_that_is_gone_ends_its_tunnels_only removed_shared_secret_ends_its_tunnels_only
a_removed_client_loses_its_tunnels_and_no_other_does removed_client_alone_loses_its_tunnels
a_whole_list_takes_the_place_of_the_one_before_when_it_is_complete whole_list_replaces_the_previous_one
a_clients_tunnels_share_their_handshakes_and_no_others_do tunnels_of_a_client_share_handshakes
the_token_is_found_where_clients_put_it token_is_found_in_every_known_place
joined_or_not_every_datagram_arrives_as_it_was every_datagram_arrives_joined_or_not
a_kernel_that_refuses_to_join_gets_them_singly refusing_kernel_gets_single_datagrams
a_port_that_was_refused_is_used_again refused_port_is_used_again
a_wireguard_that_comes_back_from_another_port_has_the_same_tunnel wireguard_on_another_port_keeps_its_tunnel
fresh_datagrams_wait_and_stale_ones_do_not fresh_datagrams_wait_stale_ones_drop
the_tunnel_comes_back_after_a_restart_on_the_same_socket tunnel_returns_after_restart_on_same_socket
the_tunnel_stays_while_the_servers_wireguard_restarts tunnel_survives_a_wireguard_restart
a_server_that_is_not_the_right_one_gets_no_request wrong_server_gets_no_request
a_wrong_secret_is_told_and_not_shown wrong_secret_is_reported_and_not_shown
a_name_that_cannot_be_looked_up_is_told unresolvable_name_is_reported
a_server_that_waits_for_one_request_is_found single_request_server_is_detected
what_is_wrong_with_a_server_is_named server_faults_are_named
a_server_that_comes_up_late_is_waited_for late_server_is_awaited
by_a_proxy_that_asks_for_a_password connects_by_a_proxy_with_password
below_a_path_of_a_web_server_in_front connects_below_a_path_of_front_server
valid_answers_of_other_servers_open_a_tunnel valid_answers_of_other_servers_are_accepted
the_last_address_is_tried_first_after_a_new_start last_address_is_tried_first_after_restart
a_certificate_is_obtained_and_renewed_while_a_tunnel_is_open certificate_is_renewed_with_an_open_tunnel
a_failed_renewal_keeps_the_old_certificate_in_force failed_renewal_keeps_the_old_certificate
a_certificate_is_renewed_when_the_authority_suggests certificate_is_renewed_when_authority_suggests
an_authority_whose_limit_is_used_up_is_left_alone authority_with_exhausted_limit_is_left_alone
the_verbs_take_json_and_answer_in_one_line verbs_take_json_and_answer_one_line
a_keeper_without_the_kernels_watching_goes_on keeper_works_without_inotify
a_keeper_ends_when_it_is_told_although_its_server_hangs keeper_ends_although_its_server_hangs
a_removed_client_loses_its_tunnels_within_a_second_and_no_other_does removed_client_is_cut_within_a_second
one_client_uses_up_no_handshakes_of_another clients_have_separate_handshake_limits
tunnels_under_the_operators_secret_have_a_share_each tunnels_with_operator_secret_have_separate_shares
a_newcomer_gets_a_tunnel_although_every_place_is_taken newcomer_gets_tunnel_when_all_is_full
strangers_have_ten_seconds_to_ask_for_something strangers_have_ten_seconds_to_send_request
visitors_and_tunnels_are_not_disturbed_by_silent_strangers silent_strangers_disturb_nobody
a_wrong_secret_and_an_unknown_page_are_the_same_bytes wrong_secret_looks_like_unknown_page
a_visit_is_that_of_a_web_site visit_looks_like_a_web_site
many_errors_are_held_back_whatever_they_are many_errors_of_any_kind_are_throttled
a_web_server_behind_gets_every_byte_of_strangers_and_none_of_tunnels web_server_gets_strangers_but_no_tunnels
http2_is_offered_where_the_web_server_speaks_it http2_is_offered_with_capable_web_server
a_visit_that_is_played_again_ends_at_once replayed_visit_ends_at_once
a_web_server_that_hangs_holds_no_stranger hanging_web_server_holds_no_stranger
http2_is_offered_as_soon_as_the_web_server_is_there http2_is_offered_once_web_server_runs
the_server_says_whether_strangers_reach_the_web_server server_reports_whether_strangers_reach_web_server
limits_count_for_the_address_that_the_web_server_tells limits_use_the_forwarded_address
without_a_certificate_nobody_is_served_on_the_tls_port without_certificate_tls_port_serves_nobody
one_network_has_so_many_handshakes_and_one_secret_so_many_tunnels handshakes_and_tunnels_are_limited
behind_it_keeps_from_strangers_what_is_for_its_own_machine local_pages_stay_hidden_from_strangers
behind_it_ends_half_requests_as_its_own half_requests_end_like_its_own
half_a_request_ends_as_the_web_server_ends_it_whatever_it_begins_with half_request_ends_as_web_server_would
words_that_come_late_do_not_wind_up_the_clock_again late_bytes_do_not_restart_the_timeout
half_of_a_tunnels_request_is_no_business_of_the_web_servers half_tunnel_request_never_reaches_web_server
a_visitor_by_http2_has_as_long_as_well http2_visitor_has_the_same_time
without_the_web_server_half_a_request_has_as_long_as_any half_request_times_out_without_web_server
it_is_ready_to_be_configured_and_ends_when_told program_is_ready_and_ends_when_told
a_web_server_sees_strangers_come_from_the_source web_server_sees_strangers_from_the_source
a_source_that_the_host_does_not_have_leads_nowhere source_missing_on_host_leads_nowhere
a_source_that_every_program_has_is_refused shared_source_address_is_refused
a_header_tells_the_strangers_own_address_once header_tells_the_stranger_address_once
pages_for_the_machine_itself_are_found_when_strangers_get_them exposed_local_pages_are_found
frames_in_the_same_segment_as_the_request_are_read frames_in_request_segment_are_read
a_new_configuration_drops_only_what_lost_its_secret new_configuration_drops_only_removed_secrets
behind_a_web_server_there_is_no_tls front_server_means_no_tls
the_end_of_the_server_is_said_to_tunnels server_end_is_announced_to_tunnels
stock_client_with_a_wrong_secret_does_not_hammer stock_client_with_wrong_secret_backs_off
stock_client_keeps_its_tunnel_while_wireguard_restarts stock_client_survives_a_wireguard_restart
stock_server_with_a_wrong_secret_is_asked_rarely stock_server_is_asked_rarely_after_refusal
secrets_are_hidden_and_what_is_not_there_is_not_shown secrets_and_missing_fields_are_hidden
an_address_that_is_somebody_s_here_collides local_address_collides
an_address_that_is_nobody_s_here_does_not foreign_address_does_not_collide
the_server_s_own_port_is_no_end_point_and_a_tunnel_of_the_server_is_one own_port_collides_but_tunnel_does_not
what_a_name_leads_to_is_judged_as_well resolved_addresses_are_checked_too
keys_of_the_server_and_keys_of_no_use_are_refused server_keys_and_useless_keys_are_refused
nothing_but_what_is_on_a_list_is_refused only_listed_collisions_are_refused
an_errand_is_read_as_it_was_written errand_round_trips
what_says_too_little_or_too_much_is_no_errand incomplete_or_excessive_errand_is_refused
an_errand_has_more_time_than_it_waits_for_others errand_outlasts_its_waits
a_name_that_is_asked_for_comes_before_that_of_the_file requested_name_precedes_the_file_name
the_end_point_of_an_address_gives_a_name_if_it_is_ipv4 ipv4_endpoint_can_give_the_name
the_mtu_is_the_least_of_file_uplink_and_our_own_and_enough_for_ipv6 mtu_is_the_least_and_fits_ipv6
a_keepalive_of_up_to_a_minute_is_kept keepalive_up_to_a_minute_is_kept
an_address_must_not_meet_the_own_subnet address_must_not_overlap_own_subnet
it_is_told_whether_all_of_ipv4_is_carried carrying_all_of_ipv4_is_reported
a_switch_that_fails_slowly_is_no_sign_of_life_of_the_exit_in_use slow_failed_switch_is_no_life_sign
what_a_look_sees_late_is_upkeep_in_its_measure late_observation_counts_as_upkeep
a_device_that_is_gone_while_a_change_is_made_is_no_loss missing_device_during_change_is_no_loss
what_was_doubted_of_a_device_is_not_held_against_the_next_one doubt_does_not_carry_over_devices
an_exit_that_answers_and_passes_nothing_is_replaced answering_exit_without_traffic_is_replaced
a_question_that_is_lost_now_and_then_is_no_reason occasional_lost_probe_is_no_reason
a_resolver_that_is_down_is_no_fault_of_an_exit_that_brings_data dead_resolver_is_no_fault_of_exit
without_another_exit_it_is_said_and_nothing_is_done lone_exit_failure_is_reported_only
a_way_back_that_fails_is_tried_more_and_more_seldom failed_return_is_retried_less_often
a_dead_exit_is_called_at_its_other_addresses_before_another_takes_its_place dead_exit_is_tried_at_all_addresses
a_day_of_loss_and_jitter_is_no_reason_to_act day_of_loss_and_jitter_triggers_nothing
a_tunnel_of_heavy_loss_that_still_answers_is_left_alone_for_an_hour lossy_answering_tunnel_is_left_alone
a_blackhole_is_found_in_less_than_twenty_seconds_and_the_end_of_it_too blackhole_and_its_end_are_found_quickly
an_exit_that_nothing_reaches_is_dead_although_it_begins_handshakes unreachable_exit_is_dead_despite_handshakes
a_quiet_tunnel_is_asked_every_two_minutes_and_its_end_is_found quiet_tunnel_is_probed_every_two_minutes
an_exit_that_answers_no_echoes_is_alive_as_long_as_wireguard_answers exit_ignoring_echoes_is_alive_by_wireguard
attempts_come_at_once_and_then_more_and_more_seldom attempts_start_at_once_then_slow_down
a_process_that_was_stopped_asks_before_it_judges resumed_process_probes_before_it_judges
a_device_that_is_gone_is_brought_back_without_questions missing_device_is_restored_without_probes
upkeep_is_told_from_traffic_by_its_size upkeep_and_traffic_differ_by_size
the_log_tells_of_the_handshake_when_that_is_news log_reports_handshake_only_as_news
a_clock_that_was_set_is_no_reason_to_act clock_change_triggers_nothing
a_dead_exit_is_replaced_by_the_next_one_that_answers dead_exit_is_replaced_by_answering_one
the_chosen_exit_gets_its_place_back_when_it_has_answered_for_ten_minutes chosen_exit_returns_after_ten_good_minutes
an_exit_that_dies_soon_after_its_return_has_to_prove_itself_longer relapsed_exit_must_prove_itself_longer
several_questions_in_a_row_without_an_answer_are_a_loss several_missed_answers_are_a_loss
an_answer_in_between_begins_from_the_start answer_in_between_resets_the_count
an_exit_that_brings_data_is_not_to_blame_for_a_resolver receiving_exit_is_not_blamed_for_resolver
rounds_in_which_no_exit_was_better_become_rare fruitless_searches_become_rare
a_loss_is_told_once_and_so_is_its_end loss_and_its_end_are_reported_once
a_doubt_is_a_reason_to_ask_sooner_and_not_more_often_than_once_a_minute doubt_hastens_probes_at_bounded_rate
every_provider_is_known_by_its_domains_and_by_its_words provider_is_known_by_domain_and_words
a_domain_counts_more_than_a_word_and_the_first_of_two_counts domain_precedes_word_and_first_wins
exits_come_back_as_they_were_stored_and_by_name exits_round_trip_by_name
without_a_row_of_its_own_the_chosen_exit_is_in_use chosen_exit_is_active_by_default
a_session_has_its_records_in_order_and_the_newest_of_too_many session_keeps_newest_records_in_order
every_event_is_worded_in_both_languages_and_comes_back_from_its_record every_event_round_trips_in_both_languages
a_record_that_says_too_little_is_not_guessed_at incomplete_record_is_not_guessed
the_answer_of_an_import_is_that_of_the_api import_answer_matches_the_contract
what_was_made_of_mtu_and_keepalive_is_said_in_both_languages mtu_and_keepalive_notes_have_both_languages
a_file_that_cannot_be_read_is_named unreadable_file_is_named
a_file_that_the_operator_keeps_in_our_folder_is_not_written_over operator_file_in_our_directory_is_kept
what_a_killed_change_left_is_swept_away leftovers_of_killed_change_are_removed
an_import_whose_file_cannot_be_written_has_not_happened import_without_its_file_is_undone
the_readable_file_is_part_of_the_wanted_state readable_file_is_in_desired_state
an_unknown_exit_changes_nothing_and_the_known_ones_are_named unknown_exit_lists_the_known_ones
a_removal_whose_file_stays_has_not_happened removal_without_its_file_is_undone
the_active_exit_is_switched_off_and_removed_and_a_fallback_forgotten active_exit_is_disabled_and_removed
the_table_of_actions_is_read_by_name action_table_is_read_by_name
no_file_of_the_corpus_is_left_out every_corpus_file_is_tested
the_readable_file_of_an_exit_says_the_same_and_nothing_of_what_is_not_used readable_file_says_the_used_settings
bad_files_are_refused_with_the_line_and_the_key bad_files_are_refused_by_line
what_is_no_text_has_no_name_or_is_in_the_way_is_refused import_rejects_binary_unnamed_or_overlapping
without_a_log_there_is_nothing_to_show without_a_log_nothing_is_shown
an_active_session_is_shown_as_lines_and_as_records active_session_has_lines_and_records
the_log_of_the_last_session_stays_and_every_level_has_its_word last_log_stays_with_worded_levels
nothing_is_missing_where_all_is_there_and_more nothing_is_missing_when_more_exists
a_route_that_somebody_has_replaced_is_missing replaced_route_is_missing
a_route_by_a_stopped_link_is_not_missed route_of_stopped_link_is_not_missed
what_is_ours_is_told_from_the_rest own_objects_are_told_from_others
another_rule_in_the_same_place_is_another other_rule_in_same_place_differs
a_chain_that_drops_what_passes_counts_whoever_made_it dropping_chain_counts_whoever_made_it
a_rule_that_may_close_a_port_counts_whoever_made_it port_closing_rule_counts_whoever_made_it
a_table_that_sleeps_or_was_made_again_is_another dormant_or_recreated_table_differs
a_repair_that_goes_on_is_not_asked_for_twice running_repair_is_not_requested_twice
somebody_who_removes_it_again_and_again_is_not_fought repeated_removal_is_not_fought
another_loss_does_not_wait_for_a_fight other_loss_does_not_wait_for_fight
what_is_still_missing_behind_a_repair_is_asked_for_less_and_less remaining_loss_is_requested_less_often
a_lock_of_this_process_is_seen_by_the_kernel_s_name own_lock_is_seen_by_kernel_name
a_process_that_ended_is_told_from_one_that_runs ended_process_differs_from_running_one
the_name_servers_of_the_configuration_answer_through_the_tunnel dns_servers_answer_through_the_tunnel
nobody_loses_a_packet_while_others_come_and_go client_changes_lose_no_packet_of_others
another_uplink_and_another_backend_keep_the_clients uplink_and_backend_changes_keep_clients
an_ipv4_literal_and_a_stored_endpoint_reach_the_configuration ipv4_literal_and_endpoint_reach_configuration
no_stranger_opens_connections_to_clients_on_nftables strangers_cannot_reach_clients_on_nftables
no_stranger_opens_connections_to_clients_on_iptables_nft strangers_cannot_reach_clients_on_iptables_nft
no_stranger_opens_connections_to_clients_on_iptables_legacy strangers_cannot_reach_clients_on_iptables_legacy
a_hundred_at_once_on_an_empty_server hundred_concurrent_clients_on_empty_server
the_same_name_and_the_last_address_go_to_one_only same_name_and_last_address_go_once
changes_of_every_kind_at_once_leave_one_state concurrent_changes_leave_one_state
who_waits_half_a_minute_for_the_lock_gives_up lock_wait_ends_after_half_a_minute
a_removed_client_is_back_and_the_others_notice_nothing removed_client_returns_unnoticed_by_others
servers_that_answer_pass_with_a_measured_time answering_servers_pass_with_measured_time
dead_servers_do_not_hold_a_call_up dead_servers_do_not_delay_a_call
the_server_finds_names_behind_servers_that_are_silent_or_odd names_resolve_despite_silent_or_odd_servers
a_newcomer_takes_the_minute_s_tour_of_the_readme newcomer_follows_the_readme_tour
a_used_server_is_new_and_others_keep_what_is_theirs reset_server_is_new_others_keep_theirs
a_host_without_a_server_stays_as_it_is host_without_a_server_stays_unchanged
uninstalled_the_host_is_as_before_and_the_server_can_come_back uninstall_restores_host_and_allows_return
killed_at_each_step_it_is_finished_by_whoever_comes_next reset_killed_at_any_step_is_finished
killed_at_any_file_it_is_finished_too reset_killed_at_any_file_is_finished
rules_of_ufw_that_are_not_ours_stay_and_ssh_with_them foreign_ufw_rules_and_ssh_stay
a_rule_of_ours_that_lets_ssh_in_is_not_taken_away own_rule_that_admits_ssh_stays
the_tunnel_goes_with_its_secret_and_its_certificates_and_the_operator_s_own_stay tunnel_goes_with_secrets_operator_files_stay
a_reconcile_that_is_refused_says_how_far_it_came refused_reconcile_reports_its_progress
a_disk_that_fills_up_while_clients_are_added disk_fills_up_while_adding_clients
a_folder_of_wireguard_that_cannot_be_written wireguard_directory_cannot_be_written
a_database_that_cannot_be_used_is_left_alone unusable_database_is_left_alone
a_device_that_cannot_be_made_any_more device_cannot_be_created_again
a_change_that_cannot_be_stored_cuts_nobody unstorable_change_disconnects_nobody
a_lost_phone_is_removed_while_the_disk_is_full client_is_removed_on_a_full_disk
everything_that_reads_reads_from_a_read_only_disk every_read_works_on_read_only_disk
a_removed_client_loses_its_tunnel_and_no_other_does removed_client_alone_loses_its_tunnel
it_comes_back_after_a_boot_and_after_kills tunnel_returns_after_boot_and_kills
a_certificate_authority_is_asked_and_the_certificate_serves obtained_certificate_serves
a_server_without_a_domain_is_reached_by_its_address server_without_domain_is_reached_by_address
the_stock_client_reaches_an_address_with_the_command_as_printed stock_client_connects_with_printed_command
strangers_are_no_programs_of_the_web_servers_machine strangers_are_not_local_to_web_server
our_client_comes_back_while_names_need_the_tunnel own_client_recovers_when_names_need_tunnel
the_stock_client_survives_ten_breaks_with_the_steps_as_printed stock_client_survives_ten_breaks
a_hung_device_is_ended_by_a_restart_and_by_a_stop hung_device_ends_by_restart_and_stop
a_closed_terminal_leaves_no_change_half_made closed_terminal_leaves_no_half_change
what_would_follow_from_the_last_work_does_not_keep_it pending_work_does_not_delay_leaving
a_signal_ends_a_wait_for_the_lock signal_ends_a_wait_for_lock
a_name_with_several_addresses_is_sought_at_each every_address_of_a_name_is_tried
an_exit_is_reached_by_ipv6_and_by_ipv4_when_that_is_dead exit_falls_back_from_ipv6_to_ipv4
a_switch_between_exits_that_are_one_server_waits_for_nothing switch_within_one_server_is_immediate
nothing_escapes_from_the_first_change_of_an_enable_on nothing_escapes_from_first_change_on
a_switch_that_is_refused_at_any_step_lets_nothing_out refused_switch_lets_nothing_out
an_enable_that_is_refused_at_any_step_leaves_nothing refused_enable_leaves_nothing
a_disable_that_is_refused_at_any_step_lets_nothing_out refused_disable_lets_nothing_out
a_switch_that_is_killed_at_any_step_lets_nothing_out killed_switch_lets_nothing_out
an_enable_that_is_killed_at_any_step_stays_closed_once_it_was killed_enable_stays_closed_once_it_was
a_disable_that_is_killed_at_any_step_lets_nothing_out killed_disable_lets_nothing_out
a_reset_that_is_killed_at_any_step_lets_nothing_out killed_reset_lets_nothing_out
nothing_escapes_while_the_kill_switch_is_turned nothing_escapes_while_kill_switch_changes
a_file_that_collides_with_the_server_is_not_imported colliding_file_is_not_imported
an_exit_that_collides_since_its_import_is_not_enabled exit_colliding_since_import_is_not_enabled
an_exit_that_begins_to_collide_is_taken_down_and_clients_stay_in exit_that_starts_colliding_is_taken_down
the_monitor_takes_an_exit_down_that_begins_to_collide_and_uses_another_one monitor_replaces_exit_that_starts_colliding
an_exit_that_is_blackholed_is_noticed_and_found_again blackholed_exit_is_noticed_and_found_again
an_exit_whose_name_is_gone_is_found_where_the_name_leads_later exit_is_found_where_name_later_leads
another_exit_takes_the_place_of_a_dead_one other_exit_replaces_a_dead_one
an_exit_is_reached_through_a_tunnel_of_the_server exit_is_reached_through_a_server_tunnel
an_exit_whose_device_hangs_holds_up_no_change_of_a_client hanging_exit_device_delays_no_client_change
an_exit_is_found_again_by_a_server_that_was_flushed_twice exit_is_found_again_after_a_flush
clients_are_seen_with_the_address_of_the_exit clients_appear_with_the_exit_address
without_the_kill_switch_the_observer_sees_the_leak without_kill_switch_observer_sees_the_leak
an_enable_that_fails_leaves_what_was_before failed_enable_leaves_the_earlier_state
large_transfers_pass_and_no_packet_is_too_long large_transfers_pass_within_the_mtu
established_is_believed_by_the_connection_s_own_interface_only established_is_per_interface_on_nftables
established_is_believed_by_the_connection_s_own_interface_only_on_iptables_nft established_is_per_interface_on_iptables_nft
established_is_believed_by_the_connection_s_own_interface_only_on_iptables_legacy established_is_per_interface_on_iptables_legacy
the_exit_reaches_nothing_of_a_server_that_was_flushed exit_is_walled_from_flushed_nftables
the_exit_reaches_nothing_of_a_server_that_was_flushed_on_iptables_nft exit_is_walled_from_flushed_iptables_nft
the_exit_reaches_nothing_of_a_server_that_was_flushed_on_iptables_legacy exit_is_walled_from_flushed_iptables_legacy
the_table_of_the_packet_filter_is_never_deleted packet_filter_table_is_never_deleted
an_exit_gets_no_answer_that_nobody_asked_for exit_gets_no_unrequested_reply
an_answer_that_goes_no_further_is_reported_to_nobody undeliverable_reply_is_reported_to_nobody
nothing_escapes_whatever_happens_to_links_and_routes link_and_route_changes_leak_nothing
nothing_escapes_whatever_happens_to_filter_and_processes filter_and_process_changes_leak_nothing
nothing_escapes_whatever_is_asked_of_the_server requests_to_the_server_leak_nothing
nothing_escapes_while_the_server_is_reset_to_the_factory factory_reset_leaks_nothing
an_exit_that_is_back_is_tried_before_it_is_turned_to returned_exit_is_tested_before_the_switch
without_the_monitor_a_lost_way_stays_closed_and_status_says_so lost_route_stays_closed_without_monitor
the_block_stands_from_the_stored_state_alone boot_guard_needs_only_the_stored_state
an_exit_that_shakes_hands_and_passes_nothing_is_not_taken exit_without_traffic_is_not_accepted
nothing_escapes_while_an_exit_that_passes_nothing_is_switched_to switching_to_exit_without_traffic_leaks_nothing
an_exit_in_use_that_passes_nothing_any_more_is_replaced active_exit_without_traffic_is_replaced
the_doctor_asks_the_clients_servers_by_the_exit doctor_asks_client_servers_by_the_exit
what_an_exit_sends_unasked_is_stopped_at_the_door_and_on_the_way_through unsolicited_exit_packets_are_stopped_twice
status_says_which_walls_stand_on_iptables_nft status_lists_barriers_on_iptables_nft
status_says_which_walls_stand_on_iptables_legacy status_lists_barriers_on_iptables_legacy
the_rules_in_force_are_the_committed_ones_on_nftables rules_match_committed_ones_on_nftables
the_rules_in_force_are_the_committed_ones_on_iptables_nft rules_match_committed_ones_on_iptables_nft
the_rules_in_force_are_the_committed_ones_on_iptables_legacy rules_match_committed_ones_on_iptables_legacy
what_leads_to_the_exit_comes_back_and_nothing_escapes_meanwhile exit_route_is_repaired_without_a_leak
the_package_is_not_installed_beside_programs_that_came_another_way package_refuses_programs_installed_otherwise
a_first_installation_beside_a_stored_state_says_how_it_comes_back first_installation_explains_how_state_returns
removing_the_package_asks_nobody_and_takes_the_server_off removing_package_stops_server_without_question
the_scripts_call_no_program_that_path_chooses scripts_ignore_programs_chosen_by_path
a_client_gets_in_where_the_owner_s_filter_refuses client_gets_in_despite_owner_filter
a_tunnel_gets_in_where_the_owner_s_filter_refuses tunnel_gets_in_despite_owner_filter
an_authority_gets_in_where_the_owner_s_filter_refuses authority_gets_in_despite_owner_filter
a_link_that_is_deleted_again_and_again_comes_back_at_once repeatedly_deleted_link_returns_at_once
clients_come_along_when_the_listen_port_is_led_back restored_listen_port_brings_clients_along
a_file_without_mark_and_key_is_reported_and_left_alone file_without_tag_and_key_is_kept
what_is_not_ours_stays_as_it_is foreign_objects_stay_unchanged
rules_of_ufw_that_are_not_ours_stay foreign_ufw_rules_stay
an_ordinary_user_runs_a_server_in_a_namespace_of_his_own ordinary_user_runs_server_in_own_namespace
modes_are_right_from_the_moment_a_file_exists file_modes_are_right_from_creation
no_file_is_made_open_and_closed_later no_file_is_narrowed_after_creation
no_process_is_told_a_secret_on_its_command_line no_process_gets_secrets_as_arguments
secrets_stand_where_they_belong_and_nowhere_else secrets_are_only_where_they_belong
a_hundred_clients_are_made_counted_and_exported hundred_clients_are_made_counted_and_exported
the_health_script_is_silent_while_all_is_well_and_names_what_is_not health_script_reports_only_problems
the_whole_system_is_looked_at_with_four_commands four_commands_show_the_whole_system
a_closed_terminal_does_not_end_a_change closed_terminal_does_not_end_a_change
a_killed_change_is_named_until_it_is_finished killed_change_is_named_until_finished
what_is_marked_is_copied_whole_and_what_is_pasted_counts selection_is_copied_and_paste_is_used
a_storm_of_sizes_leaves_a_whole_screen many_resizes_leave_a_whole_screen
killed_anywhere_the_terminal_is_as_it_was killed_anywhere_restores_the_terminal
killed_while_it_starts_the_terminal_is_as_it_was killed_while_starting_restores_the_terminal
a_change_that_has_begun_is_finished_before_the_end begun_change_is_finished_before_the_end
after_a_panic_the_terminal_is_as_it_was panic_restores_the_terminal
its_own_side_s_changes_are_not_answered own_changes_are_not_answered
a_copy_is_replaced_at_its_time_without_anybody_s_change copy_is_renewed_on_time_without_changes
what_takes_the_place_of_our_rules_is_seen replacement_of_our_rules_is_noticed
a_port_that_somebody_closes_is_open_again closed_port_is_opened_again
somebody_else_s_own_rules_are_no_fight rules_of_others_are_no_fight
reconcile_starts_again_what_runs_an_old_program_and_carries_no_packets reconcile_restarts_old_programs_without_traffic
a_server_of_this_machine_is_not_seen servers_of_this_machine_are_not_seen
the_help_of_every_program_tells_everything_that_it_accepts help_of_every_program_is_complete
a_whole_number_is_one_however_json_writes_it whole_number_has_any_json_form
a_client_gets_the_lowest_free_address_and_freed_ones_are_used_again client_gets_lowest_free_address
a_small_subnet_is_used_up_to_its_last_host_and_never_beyond small_subnet_is_used_to_last_host
names_are_unique_without_regard_to_case_and_looked_up_exactly names_are_unique_ignoring_case_lookup_exact
a_removed_client_is_gone_from_interface_and_file_even_if_the_peer_was_missing_there removed_client_is_gone_even_without_peer
other_clients_keep_their_sessions_when_one_comes_or_goes other_clients_keep_their_sessions
the_service_restarts_with_every_client_where_the_setting_says_so service_restarts_for_clients_if_set
lists_are_ordered_by_age_and_show_the_page_that_is_asked_for lists_are_ordered_by_age_and_paged
clients_of_the_same_moment_are_ordered_by_name clients_of_same_moment_order_by_name
an_exported_configuration_has_exactly_the_layout_of_the_api exported_configuration_has_the_contract_layout
changes_show_in_the_next_export_at_once changes_appear_in_next_export_at_once
a_changed_subnet_keeps_host_numbers_and_moves_the_rest_to_the_lowest_free_ones changed_subnet_keeps_host_numbers
a_backup_of_a_subnet_change_is_complete_and_each_has_a_name_of_its_own subnet_change_backup_is_complete_and_unique
setup_is_harmless_when_repeated_and_changes_only_what_is_given repeated_setup_changes_only_given_values
setup_takes_no_address_where_nobody_reaches_the_server setup_refuses_address_where_nobody_connects
setup_takes_the_embedded_wireguard_where_the_kernel_has_none setup_uses_embedded_device_without_kernel_support
a_change_of_the_backend_in_place_keeps_keys_and_clients backend_change_keeps_keys_and_clients
ufw_gets_our_rules_only_while_it_is_active ufw_has_our_rules_only_while_active
forwarding_that_was_on_before_stays_as_it_was_found forwarding_that_was_on_stays_on
settings_are_changed_one_by_one_and_say_their_old_value settings_change_singly_and_show_old_value
a_client_whose_clock_was_set_back_is_named client_with_clock_set_back_is_named
a_text_that_was_asked_for_goes_to_standard_output_with_exit_0 requested_text_is_on_stdout_with_success
what_is_not_clear_gives_the_usage_on_standard_error_and_exit_2 unclear_command_gives_usage_and_exit_2
options_stand_before_between_and_behind_in_both_forms options_are_accepted_anywhere_in_both_forms
the_first_violation_in_the_order_of_the_checks_is_reported first_violation_in_order_is_reported
every_action_needs_root_and_an_initialised_system every_action_needs_root_and_initialisation
characters_beyond_ascii_are_written_as_they_are non_ascii_characters_are_written_as_is
a_word_that_is_not_utf_8_is_refused_with_json non_utf8_argument_is_refused_with_json
an_answer_that_could_not_be_written_is_no_success unwritable_answer_is_no_success
the_real_command_says_that_a_device_is_full real_command_reports_a_full_device
a_reader_that_goes_away_is_no_reason_to_complain closed_output_is_no_reason_to_complain
what_a_test_found_broken_is_a_success finding_something_broken_is_a_success
causes_stand_on_standard_error_and_not_for_expected_failures causes_are_on_stderr_for_unexpected_failures
a_hundred_clients_at_once_on_an_empty_server hundred_concurrent_clients_on_empty_server
one_name_a_hundred_times_at_once_is_one_client hundred_concurrent_same_names_make_one_client
adding_removing_and_reading_at_once_on_a_server_with_a_thousand_clients concurrent_reads_and_changes_of_thousand_clients
the_modules_have_the_actions_of_the_api_in_its_order modules_have_the_contract_actions_in_order
schemas_are_closed_and_parameters_with_a_default_are_optional schemas_are_closed_with_optional_defaults
examples_are_read_without_an_error_of_the_form examples_parse_without_a_usage_error
every_answer_has_exactly_the_fields_of_its_schema every_answer_matches_its_schema
every_file_of_the_suite_is_part_of_it every_file_of_suite_is_compiled
the_first_change_or_start_of_a_day_makes_a_copy_and_a_week_of_them_is_kept first_change_of_day_makes_a_copy
a_backup_is_one_file_for_root_alone_and_takes_nobodys_place backup_is_one_private_new_file
a_damaged_database_is_not_backed_up_and_the_day_says_so damaged_database_is_not_backed_up
a_dry_run_shows_who_comes_back_who_is_lost_and_who_needs_a_file_and_changes_nothing dry_restore_lists_effects_and_changes_nothing
a_restore_brings_back_what_was_and_keeps_what_was_there restore_brings_back_copy_and_keeps_present
another_server_s_port_subnet_and_interface_come_with_it restore_includes_port_subnet_and_interface
what_cannot_be_restored_is_refused_and_changes_nothing impossible_restore_is_refused_without_change
a_refused_write_leaves_the_present_state_in_force refused_write_keeps_the_present_state
a_restore_that_is_cut_short_is_finished_as_one_state_or_the_other interrupted_restore_ends_in_one_state
where_nothing_or_nothing_readable_is_stored_a_backup_brings_the_server_back backup_restores_a_missing_or_damaged_state
whoever_removes_a_client_learns_until_when_copies_hold_its_keys removal_says_how_long_copies_keep_keys
a_full_disk_fails_the_change_and_nothing_else full_disk_fails_only_the_change
a_read_only_disk_fails_the_change_and_nothing_else read_only_disk_fails_only_the_change
dns_servers_change_one_or_both_and_ipv6_ones_with_a_warning dns_servers_change_singly_or_together
an_address_where_nobody_can_answer_is_refused_or_said useless_dns_address_is_refused_or_noted
every_condition_is_seen_said_and_left_alone every_condition_is_reported_and_left_alone
on_a_sound_host_there_is_nothing_to_say sound_host_has_nothing_to_report
a_host_that_answers_nothing_is_no_error silent_host_is_no_error
every_command_is_one_that_the_programs_know every_documented_command_exists
both_languages_have_the_same_pages_commands_and_pictures both_languages_have_the_same_pages
every_error_code_and_every_check_is_explained every_code_and_check_is_explained
every_error_has_its_code_its_data_and_both_texts every_error_has_code_data_and_texts
a_change_that_finds_the_lock_taken_gives_up_when_its_patience_ends change_gives_up_lock_after_its_patience
where_nothing_is_set_a_change_waits_half_a_minute_for_the_lock default_lock_wait_is_half_a_minute
reconcile_says_which_step_failed_and_keeps_those_before reconcile_names_failed_step_keeps_earlier_ones
an_exit_that_does_not_answer_is_not_enabled silent_exit_is_not_enabled
a_name_that_cannot_be_resolved_is_no_exit unresolvable_name_is_no_exit
a_switch_to_a_dead_exit_leaves_the_one_in_use switch_to_dead_exit_keeps_the_active
packets_that_would_go_another_way_are_noticed packets_on_another_route_are_noticed
a_reset_that_cannot_remove_says_what_is_left reset_lists_what_it_cannot_remove
a_program_embeds_the_modules_with_their_types program_embeds_modules_with_their_types
an_asynchronous_program_embeds_them_as_blocking_tasks asynchronous_program_embeds_blocking_tasks
a_program_adds_a_module_of_its_own program_adds_its_own_module
a_fifth_module_takes_part_in_the_system fifth_module_takes_part_in_system
a_configuration_that_has_lost_its_mark_goes_with_its_key untagged_configuration_goes_by_its_key
refused_at_any_write_it_can_be_run_again reset_refused_anywhere_can_run_again
the_packet_filter_is_closed_from_the_first_step_to_the_new_server packet_filter_is_closed_until_new_server
uninstalled_nothing_of_ours_is_left_and_everything_can_come_back uninstall_leaves_nothing_and_allows_return
without_a_word_about_it_another_change_may_take_half_a_minute default_patience_is_half_a_minute
without_the_command_it_is_unfinished_and_says_so_in_both_languages without_command_reset_is_reported_unfinished
a_stored_language_is_spoken_until_it_is_removed stored_language_is_used_until_removed
one_that_leads_to_no_server_is_finished_by_the_boot_and_by_a_change serverless_reset_is_finished_by_boot
an_uninstall_asks_on_a_terminal_and_needs_yes_without_one uninstall_asks_or_needs_yes
an_uninstall_that_stops_half_way_says_so half_uninstall_is_reported
a_database_that_is_in_use_for_a_moment_is_not_taken_for_a_damaged_one briefly_busy_database_is_not_damaged
a_refused_write_leaves_everything_as_it_was refused_write_leaves_everything_unchanged
a_refused_write_of_the_first_setup_leaves_nothing_behind refused_first_setup_leaves_nothing
where_the_undo_is_refused_too_the_answer_says_so_and_the_next_change_heals refused_rollback_is_reported_and_recovered
where_the_undo_of_the_first_setup_is_refused_too_the_answer_says_so_and_the_next_one_heals refused_setup_rollback_is_reported_and_recovered
what_was_cut_short_is_healed_by_the_next_change interrupted_change_is_recovered_by_next
a_first_setup_that_was_cut_short_is_healed_by_the_next_one interrupted_first_setup_is_recovered
a_change_of_the_stored_state_alone_writes_nothing_on_the_host state_only_change_writes_nothing_on_host
what_a_host_forgets_of_a_change_of_the_core_is_noticed_and_led_back forgotten_core_change_is_rolled_back
what_a_host_forgets_of_a_change_of_ghost_mode_is_noticed_and_led_back forgotten_ghost_change_is_rolled_back
what_a_host_forgets_of_a_change_of_multihop_is_noticed_and_led_back forgotten_multihop_change_is_rolled_back
what_a_host_forgets_of_a_repair_is_noticed forgotten_repair_is_noticed
what_fails_or_ends_behind_the_commit_leaves_it_closed_and_the_next_change_opens failure_after_commit_stays_closed
every_change_of_the_exit_is_in_one_group every_exit_change_is_in_one_group
the_block_is_in_force_at_every_write_of_what_enables_an_exit barrier_holds_while_exit_is_enabled
the_block_is_in_force_at_every_write_of_what_switches_exits barrier_holds_while_exits_are_switched
the_block_is_in_force_at_every_write_of_what_lets_clients_out_again barrier_holds_until_clients_may_leave
the_block_is_in_force_at_every_write_of_what_removes_the_exit barrier_holds_while_exit_is_removed
a_host_whose_packet_filter_was_flushed_is_closed_before_multihop_is_disabled flushed_filter_is_closed_before_disabling_multihop
the_rules_of_every_module_are_the_committed_ones module_rules_match_the_committed_ones
every_enable_makes_a_secret_of_64_letters_and_digits every_enable_makes_a_new_secret
the_command_names_the_stored_port_and_verifies_what_can_be_verified command_names_stored_port_and_verifies
every_address_of_this_server_may_stand_in_the_a_records every_server_address_is_a_valid_record
without_the_check_nobody_is_asked_for_the_name without_the_check_no_name_is_resolved
the_keeper_is_told_where_the_certificate_and_the_decoy_are keeper_learns_certificate_and_decoy_paths
strangers_are_shown_nothing_but_what_is_on_this_machine strangers_see_only_this_machine
strangers_come_from_the_vpns_address_or_from_the_one_that_is_given strangers_come_from_vpn_or_given_address
the_packet_filter_leaves_the_source_as_it_is packet_filter_keeps_the_source
a_server_of_before_has_the_usual_source older_server_has_the_usual_source
the_vpns_own_address_may_be_named_while_the_service_is_stopped vpn_address_is_valid_while_stopped
pages_that_strangers_should_not_get_are_warned_of exposed_local_pages_are_warned_of
the_doctor_warns_where_strangers_come_from_the_vpns_own_network doctor_warns_of_strangers_from_vpn
a_web_server_that_cannot_be_asked_keeps_nothing_from_being_enabled silent_web_server_allows_enabling
the_port_may_be_taken_and_no_certificate_is_asked_for front_port_may_be_taken_without_certificate
status_shows_the_port_the_socket_and_what_the_web_server_shows status_shows_front_port_and_socket
the_tunnel_server_listens_at_the_socket_and_has_no_right_to_the_port tunnel_server_uses_socket_without_port_right
the_way_to_the_web_server_is_open_and_wireguards_is_closed front_opens_https_and_closes_wireguard
a_web_server_that_does_not_lead_here_changes_nothing front_that_leads_elsewhere_changes_nothing
a_self_signed_certificate_of_the_web_server_is_not_verified self_signed_front_certificate_is_not_verified
its_address_is_the_name_of_a_server_without_a_domain server_without_domain_is_named_by_address
behind_a_translation_nobody_sees_whose_address_it_is address_after_translation_is_not_checked
an_authority_of_ones_own_certifies_what_it_likes own_authority_certifies_anything
other_changes_do_not_wait_for_a_certificate other_changes_do_not_wait_for_certificate
an_authority_of_the_operator_is_trusted_where_its_certificate_lies_in_the_configuration configured_operator_authority_is_trusted
a_certificate_authority_gets_through_ufw_while_it_is_asked_and_no_longer ufw_admits_authority_only_while_asked
nobody_is_let_in_for_a_certificate_that_comes_from_here local_certificates_let_nobody_in
a_way_that_cannot_be_closed_is_reported_or_closed_by_the_change_that_follows unclosed_accept_is_reported_or_closed_later
what_an_enabling_left_that_was_cut_short_is_in_nobody_s_way leftovers_of_interrupted_enable_do_not_disturb
the_way_that_led_to_the_certificate_stays_open_for_its_renewals accept_for_authority_stays_for_renewals
ways_that_another_change_has_closed_are_opened_again accepts_closed_by_others_are_reopened
ufw_that_was_switched_off_or_on_in_between_is_left_without_a_rule_of_ghost_mode switching_ufw_leaves_no_ghost_rule
reconciling_repairs_what_somebody_did_to_the_tunnel reconcile_repairs_the_tunnel
after_a_boot_it_is_back_with_the_same_secret boot_restores_the_same_secret
where_somebody_else_has_our_place_nothing_is_changed occupied_place_changes_nothing
each_client_has_a_secret_of_its_own_that_stays each_client_keeps_its_own_secret
a_list_that_is_lost_or_changed_is_made_again lost_or_changed_list_is_rewritten
a_client_whose_removal_fails_keeps_its_secret failed_removal_keeps_the_client_secret
the_setting_is_kept_while_ghost_mode_is_off setting_is_kept_while_ghost_is_off
the_doctor_names_the_clients_that_need_the_operators_secret doctor_names_clients_with_operator_secret
the_status_is_an_error_while_the_tunnel_does_not_serve status_is_error_while_tunnel_is_down
the_certificate_is_what_the_keeper_says_of_it certificate_status_comes_from_the_keeper
a_status_comes_from_a_host_that_does_not_answer_too silent_host_still_has_a_status
while_it_is_on_wireguard_takes_packets_from_this_host_alone wireguard_takes_only_local_packets_while_on
the_units_face_the_network_without_rights_and_hold_no_secret units_are_unprivileged_and_hold_no_secret
exported_configurations_are_the_same_and_valid_before_during_and_after exported_configurations_never_change
subnet_port_and_backend_stay_while_it_is_on subnet_port_backend_are_fixed_while_on
it_can_be_switched_on_and_off_while_wireguard_is_stopped switching_works_while_wireguard_is_stopped
a_filter_that_closes_the_port_is_named_and_nothing_counts_as_active filter_closing_the_port_is_named
a_wireguard_port_that_answers_strangers_is_not_hidden open_wireguard_port_is_not_hidden
the_samples_of_the_api_are_what_the_command_answers contract_samples_match_the_command
the_published_samples_are_what_the_command_answers published_samples_match_the_command
by_default_an_exported_configuration_begins_as_the_published_one default_configuration_starts_as_published
by_default_the_command_of_a_client_begins_as_the_published_one_and_verifies_the_certificate default_client_command_starts_as_published
a_turkish_answer_differs_in_the_sentences_of_chapter_12_only turkish_differs_in_listed_sentences_only
answers_are_printed_in_the_order_of_the_envelope answers_have_the_envelope_order
the_program_s_help_shows_usage_modules_options_and_the_shape_of_the_answer program_help_shows_modules_and_answer_shape
a_module_s_help_shows_its_actions_with_their_summaries module_help_shows_action_summaries
an_action_s_help_shows_parameters_an_example_and_its_codes action_help_shows_parameters_example_and_codes
limits_and_defaults_of_chapter_5_are_shown limits_and_defaults_are_shown
completions_offer_every_module_action_parameter_and_choice completions_offer_every_choice
bash_completes_values_where_it_divides_words_at_the_equals_sign bash_completes_values_split_at_equals
hostile_inputs_through_the_real_command_change_nothing hostile_arguments_change_nothing
hostile_inputs_change_nothing_on_a_server_that_is_set_up hostile_input_leaves_a_set_up_server
a_hostile_search_is_a_text_and_no_pattern hostile_search_is_text_not_pattern
a_client_without_a_preshared_key_is_a_peer_without_one client_without_preshared_key_is_a_peer
a_client_that_keeps_its_private_key_to_itself_is_a_peer_and_cannot_be_exported keyless_client_is_peer_without_export
networks_behind_a_client_are_allowed_ips_of_its_peer client_networks_are_its_allowed_ips
the_variable_may_be_a_locale_and_an_unknown_one_is_ignored_with_a_line language_variable_may_be_a_locale
a_stored_language_is_listed_only_once_it_has_been_set language_is_listed_once_it_is_set
every_text_of_chapter_12_is_said_in_both_languages every_listed_text_has_both_languages
causes_and_what_the_watcher_saw_are_turkish_too causes_and_watcher_reports_are_turkish_too
notes_and_causes_on_standard_error_are_turkish notes_and_causes_on_stderr_are_turkish
an_exit_that_drops_echo_requests_is_proven_by_the_rest_and_that_is_said exit_without_echo_is_verified_otherwise
a_handshake_from_before_the_call_is_no_proof older_handshake_is_no_verification
a_server_that_is_stopped_has_no_way_to_an_exit stopped_server_has_no_exit_route
the_kill_switch_of_an_exit_in_use_is_opened_and_closed_without_an_interruption active_kill_switch_toggles_without_interruption
without_a_kill_switch_a_second_exit_opens_only_when_it_is_proven second_exit_opens_after_verification_without_killswitch
why_a_name_has_no_address_is_said reason_for_unresolved_name_is_reported
a_host_that_cannot_ask_for_a_name_says_what_failed failed_resolution_reports_its_cause
a_change_that_touches_nothing_leaves_the_exit_in_use_its_peer idle_change_keeps_the_exit_peer
the_monitor_calls_a_dead_exit_at_its_other_addresses monitor_tries_other_addresses_of_dead_exit
another_exit_takes_the_place_when_all_addresses_are_dead exit_is_replaced_when_all_addresses_fail
a_name_with_other_addresses_each_time_does_not_keep_the_other_exit_waiting changing_addresses_do_not_delay_the_fallback
an_exit_that_is_one_server_with_the_one_in_use_begins_a_session_of_its_own exit_of_same_server_gets_own_session
after_a_boot_the_block_stands_before_anything_else boot_guard_precedes_everything_else
where_nobody_is_to_be_kept_in_it_does_nothing boot_guard_is_idle_without_kill_switch
a_collision_that_appears_takes_the_exit_down_alone new_collision_takes_only_the_exit_down
the_block_of_the_boot_knows_the_server_s_own_address_without_a_network boot_guard_excludes_the_server_address
another_exit_is_switched_to_from_one_that_collides switch_leaves_a_colliding_exit
a_name_is_sought_where_it_does_not_collide name_is_resolved_to_free_addresses
an_exit_that_changes_the_server_s_own_routes_is_not_enabled exit_that_changes_server_routes_is_refused
the_monitor_takes_the_exit_down_and_brings_it_back monitor_takes_exit_down_and_back
the_monitor_uses_another_exit_and_none_that_collides monitor_uses_a_fallback_without_collision
the_monitor_does_not_follow_a_name_to_the_server_itself monitor_ignores_names_of_server_itself
a_dead_exit_is_replaced_and_gets_its_place_back dead_exit_is_replaced_and_returns
where_no_exit_answers_nobody_gets_out_and_the_first_that_answers_is_used first_answering_exit_ends_the_block
a_link_that_is_gone_is_brought_back missing_link_is_restored
fallbacks_are_exits_and_a_choice_without_them_has_none fallbacks_are_exits_and_optional
an_exit_that_was_chosen_while_a_switch_waited_is_kept exit_chosen_during_a_switch_is_kept
an_exit_that_was_enabled_again_while_a_switch_waited_is_kept exit_reenabled_during_a_switch_is_kept
a_switch_is_made_only_from_where_it_was_decided switch_requires_its_original_exit
a_link_that_is_away_while_a_change_is_made_is_no_dead_exit missing_link_during_change_is_no_death
a_monitor_that_knows_less_than_what_is_stored_ends_and_does_nothing outdated_monitor_ends_without_acting
a_dead_exit_is_replaced_by_the_unit_that_waits_for_the_monitor_s_file errand_unit_replaces_a_dead_exit
an_errand_that_nobody_does_is_taken_back unserved_errand_is_withdrawn
the_monitor_may_do_little_where_another_unit_does_its_errands monitor_with_errands_has_few_rights
an_exit_that_passes_nothing_is_replaced_and_a_resolver_that_is_down_is_not_its_fault exit_without_traffic_is_replaced_despite_resolver
the_chosen_exit_is_removed_without_an_interruption_while_another_has_its_place replaced_chosen_exit_is_removed_smoothly
an_exit_with_several_addresses_takes_the_place_of_one_that_has_one_of_them multi_address_exit_replaces_overlapping_one
an_exit_that_shakes_hands_and_passes_nothing_is_not_enabled exit_without_traffic_is_not_enabled
a_switch_to_an_exit_that_passes_nothing_is_taken_back switch_to_exit_without_traffic_rolls_back
the_operator_says_who_is_asked_or_that_nobody_is operator_chooses_who_is_probed
the_second_server_of_the_clients_is_asked_when_the_first_is_silent second_client_resolver_is_probed_next
servers_that_clients_do_not_reach_by_the_exit_prove_nothing servers_outside_the_exit_prove_nothing
the_monitor_asks_now_and_then_and_reads_ask_nobody only_the_monitor_probes
the_kill_switch_is_in_force_as_long_as_one_wall_stands one_barrier_keeps_the_kill_switch
a_wall_that_somebody_has_opened_is_no_wall opened_barrier_does_not_count
a_rule_of_somebody_else_before_ours_takes_the_routes_away foreign_earlier_rule_takes_routes_away
foreign_rules_that_drop_everything_are_no_kill_switch_of_ours foreign_drop_rules_are_no_kill_switch
without_an_interface_of_clients_the_walls_are_still_looked_at barriers_are_checked_without_client_interface
a_device_that_a_change_makes_again_gets_all_its_peers recreated_device_gets_all_its_peers
an_exit_that_has_moved_is_left_where_it_is moved_exit_stays_at_its_address
routes_of_others_stay_where_we_have_none foreign_routes_stay_where_we_have_none
routes_that_others_add_to_ours_are_reported_and_stay foreign_routes_beside_ours_are_reported
a_route_of_ours_that_somebody_wrote_again_is_replaced rewritten_route_of_ours_is_replaced
a_kernel_without_ipv6_leads_clients_to_an_exit kernel_without_ipv6_still_uses_exit
a_step_that_cannot_be_taken_keeps_nobody_from_what_does_without_it impossible_step_spares_independent_ones
no_fault_makes_us_touch_what_is_not_ours faults_never_touch_foreign_objects
a_foreign_link_in_the_place_of_ours_is_reported_and_not_taken foreign_link_is_reported_and_not_taken
a_foreign_file_in_the_place_of_ours_is_reported_and_kept foreign_file_is_reported_and_kept
our_file_that_has_lost_its_mark_is_copied_and_written_again untagged_file_is_copied_and_rewritten
a_unit_that_lost_its_mark_lets_the_server_boot untagged_unit_lets_the_server_boot
a_foreign_unit_in_the_place_of_ours_is_reported_and_kept foreign_unit_is_reported_and_kept
two_installations_on_one_host_do_not_see_each_other two_installations_ignore_each_other
booleans_have_eight_words_in_any_case_and_in_json_themselves_and_one_and_zero booleans_have_words_and_json_forms
texts_are_taken_as_they_are_up_to_255_characters texts_have_up_to_255_characters
a_search_gives_the_oldest_first_or_what_is_found_by_name search_is_by_age_or_by_name
nothing_given_is_an_empty_value_or_null empty_value_or_null_means_nothing
names_of_new_clients_follow_the_rule_and_are_never_guessed_into_numbers new_names_are_checked_and_stay_text
lists_are_arrays_or_words_between_commas_and_have_64_elements_at_most lists_are_arrays_or_comma_separated
a_key_is_given_once_counting_the_object_too repeated_keys_are_refused_across_forms
the_object_can_come_on_standard_input_up_to_one_mebibyte stdin_object_is_limited_to_one_mebibyte
errors_of_the_form_come_before_standard_input_is_read usage_errors_precede_reading_stdin
every_file_has_its_mode_from_the_beginning_with_any_umask every_file_has_its_mode_at_once
wider_modes_are_corrected_by_the_next_change_and_noted wider_modes_are_corrected_and_noted
secrets_appear_nowhere_but_where_the_api_shows_them secrets_appear_only_where_documented
the_secret_of_the_tunnel_appears_nowhere_but_where_the_api_shows_it tunnel_secret_appears_only_where_documented
setup_opens_the_port_where_somebody_closes_it_and_says_where setup_opens_a_closed_port
what_is_closed_later_is_opened_by_the_next_reconcile_and_the_doctor_says_so port_closed_later_is_reopened
an_operator_who_declines_is_told_the_command declining_operator_learns_the_command
a_rule_of_ufw_is_ufw_s_to_open ufw_rules_are_opened_in_ufw
ghost_mode_opens_its_own_port_in_the_place_of_wireguards ghost_mode_opens_only_its_port
a_certificate_authority_is_let_in_while_it_is_asked_and_no_longer authority_is_admitted_only_while_asked
the_way_of_an_authority_ends_by_itself_where_the_process_is_killed killed_process_ends_the_authority_accept
a_clock_that_is_set_back_does_not_keep_the_way_open clock_set_back_still_closes_accept
the_way_of_an_authority_is_closed_where_the_change_after_it_fails failed_change_closes_the_authority_accept
an_operator_who_declines_while_ghost_mode_is_on_is_told_of_its_port declining_operator_learns_the_ghost_port
a_reset_does_not_open_what_the_operator_opens_himself reset_does_not_open_operator_ports
a_host_without_ipv4_needs_no_address_of_it ipv6_only_host_needs_no_address
a_server_that_clients_know_by_a_name_needs_no_address named_server_needs_no_address
what_is_stored_of_a_name_is_all_that_it_leads_to stored_name_keeps_all_its_addresses
a_part_of_the_host_that_does_not_answer_leaves_a_gap_and_is_no_error silent_part_of_host_leaves_a_gap
what_a_deaf_host_leaves_of_the_answers silent_host_limits_every_answer
connected_means_a_handshake_younger_than_three_minutes connected_means_recent_handshake
a_port_of_somebody_else_is_seen_as_listening foreign_port_is_seen_as_listening
up_brings_the_host_to_the_stored_state up_converges_on_the_stored_state
down_takes_our_link_away_and_nobody_else_s down_removes_only_our_link
it_leaves_the_work_to_the_holder_of_the_lock_who_starts_the_service hook_leaves_work_to_lock_holder
it_does_its_work_where_the_holder_of_the_lock_is_busy_with_something_else hook_works_while_lock_is_busy
a_failure_is_said_on_standard_error_with_exit_1 failure_is_on_stderr_with_exit_1
on_a_host_that_was_never_set_up_nothing_is_made host_without_setup_stays_empty
after_a_crash_the_link_stays_for_the_next_start link_survives_crash_for_next_start
no_turkish_is_what_is_left_of_the_english turkish_texts_contain_no_english
every_phrase_of_the_host_has_its_turkish every_host_phrase_has_turkish
limits_hold_for_typed_calls_as_on_the_command_line limits_hold_for_typed_calls_too
a_typed_call_of_the_orchestrator_answers_as_one_by_name typed_call_answers_like_named_one
a_walk_never_leaves_the_host_and_the_stored_state_apart random_walk_keeps_host_and_state_together
a_service_that_was_stopped_stays_stopped_until_the_next_boot stopped_service_stays_stopped_until_boot
keys_and_times_are_taken_out_and_nothing_else only_keys_and_times_are_masked
secrets_of_tunnels_are_taken_out_and_their_beginnings_compared tunnel_secrets_are_masked_but_compared
a_sentence_of_the_other_language_is_seen sentence_of_other_language_is_seen
a_template_finds_what_stands_in_its_places template_finds_its_values
pasted_text_is_searched_once_and_not_at_every_letter pasted_text_is_searched_once
an_error_of_a_followed_log_leaves_the_help_over_it log_error_keeps_its_help
a_report_that_looks_again_says_its_error_in_a_line refreshing_report_shows_error_in_a_line
a_folder_that_cannot_be_read_can_be_left unreadable_directory_can_be_left
only_the_letter_that_is_shown_is_a_yes only_the_shown_letter_confirms
what_is_longer_than_the_screen_is_turned_over long_text_is_paged
any_report_is_saved_for_its_owner_alone every_report_is_saved_privately
a_pasted_path_takes_the_place_of_the_proposal pasted_path_replaces_the_proposal
a_path_can_be_pasted_where_files_are_picked path_can_be_pasted_into_picker
a_client_is_added_shown_as_a_code_and_saved client_is_added_shown_and_saved
a_name_that_is_taken_is_said_with_its_code taken_name_is_reported_with_code
eighty_columns_show_what_was_carried_and_the_keys_for_pages eighty_columns_show_traffic_and_page_keys
what_is_missing_on_the_host_is_repaired missing_host_objects_are_repaired
the_interface_stays_awake_while_work_is_done interface_stays_responsive_during_work
leaving_is_asked_and_no_is_the_answer_of_enter leaving_is_confirmed_with_no_as_default
a_wrong_key_is_said_and_changes_nothing wrong_key_is_reported_without_effect
a_module_appears_with_forms_from_its_table module_appears_with_forms_from_table
a_file_is_picked_and_what_is_not_used_of_it_is_said file_is_picked_with_unused_settings_shown
a_file_that_is_no_configuration_is_refused_with_the_reason invalid_configuration_is_refused_with_reason
an_exit_has_others_that_take_its_place exit_has_fallbacks
the_chosen_exit_is_marked_while_another_has_its_place_and_its_removal_says_what_stays chosen_exit_is_marked_during_fallback
a_dead_exit_is_refused_and_the_one_before_stays dead_exit_is_refused_keeping_earlier_one
the_session_log_is_followed_until_ctrl_c session_log_is_followed_until_ctrl_c
another_backend_cuts_all_and_needs_no_new_configuration backend_change_needs_no_new_configuration
a_new_address_matters_where_clients_are_told_it new_address_matters_where_clients_use_it
names_are_told_as_far_as_there_is_room names_are_listed_as_space_allows
a_server_without_clients_has_nothing_to_hand_out server_without_clients_offers_no_export
no_text_is_english_on_a_turkish_screen turkish_screens_contain_no_english
what_comes_of_it_is_said_in_a_few_lines_with_the_next_step result_is_brief_with_next_step
without_the_form_nothing_is_offered_that_cannot_work without_setup_only_possible_actions_appear
a_language_that_was_chosen_before_is_kept earlier_language_choice_is_kept
a_server_that_was_reset_meanwhile_is_offered_its_setup server_reset_meanwhile_is_offered_setup
a_code_that_does_not_fit_is_not_drawn code_that_does_not_fit_is_omitted
a_code_is_read_whatever_the_terminal_can_do code_is_readable_on_any_terminal
the_middle_round_is_that_of_the_middle_ratio middle_round_has_the_middle_ratio
the_first_round_is_unheeded_and_turns_are_taken first_round_is_ignored_and_turns_alternate
blocks_and_grounds_are_rectangles_that_grow_together blocks_and_grounds_are_growing_rectangles
the_changelog_of_the_package_begins_with_its_version package_changelog_starts_with_its_version
what_goes_by_turn_runs_within_so_many_changes periodic_lints_run_within_bounded_changes
what_is_allowed_is_allowed_in_its_file_alone_and_only_while_it_is_there exception_holds_only_where_listed
a_simulation_names_what_comes_and_is_not_there_yet simulation_names_packages_to_install
an_endpoint_that_is_ipv6_is_left_out_and_no_error ipv6_endpoint_is_skipped_without_error
a_mode_that_keeps_the_proof_out_is_named mode_that_prevents_proof_is_named
a_skipped_test_is_not_a_passed_one skipped_test_does_not_count_as_passed
a_failing_test_is_told_from_one_that_did_not_run failing_test_differs_from_unrun_one
every_fault_can_be_put_in_and_has_its_test every_fault_applies_and_has_a_test
every_part_has_a_name_of_its_own every_part_has_its_own_name
the_rest_is_what_no_other_part_names rest_contains_unnamed_parts
what_a_program_may_skip_it_may_skip_on_servers_too permitted_skips_hold_on_servers_too
what_is_not_known_of_a_set_names_the_rule unknown_set_names_its_rule
tables_that_iptables_lists_are_known_where_nft_is_missing iptables_tables_are_read_without_nft
the_program_is_asked_for_this_name_and_sees_no_environment resolver_program_gets_name_without_environment
one_that_has_said_everything_and_does_not_end_has_answered complete_answer_counts_before_the_end
without_such_a_program_the_call_is_made missing_program_falls_back_to_call
the_option_counts_more_than_the_variable_and_that_more_than_what_is_stored option_precedes_variable_which_precedes_store
a_reply_is_the_same_but_for_its_sentences replies_differ_only_in_their_sentences
all_that_the_program_says_has_its_turkish all_program_output_has_turkish
a_client_tells_in_turkish_what_happens_to_its_tunnel client_reports_tunnel_events_in_turkish
it_wakes_at_its_moment_and_not_before wakes_at_its_moment_and_not_earlier
rules_of_chains_that_packets_come_to_count_as_well rules_of_reached_chains_count_too
what_is_due_again_and_again_is_no_fight recurring_due_work_is_no_fight
what_is_the_business_of_others_is_asked_about_seldom_and_is_no_fight foreign_losses_are_asked_seldom
what_is_due_is_read_whatever_the_clock_said due_time_is_read_despite_clock_changes
a_watcher_whose_list_is_gone_gets_another_one watcher_gets_a_lost_list_again
a_peer_that_somebody_removes_comes_back_when_all_are_compared removed_peer_returns_at_full_comparison
a_port_that_a_chain_of_a_chain_closes_is_open_again port_closed_by_nested_chain_reopens
an_accept_in_legacy_iptables_beside_nftables_comes_back legacy_iptables_accept_beside_nftables_returns
what_a_killed_process_left_open_is_closed_once leftover_of_killed_process_closes_once
that_a_signal_would_end_it_is_said_in_the_language_of_the_run signal_note_is_in_the_run_language
that_a_signal_would_end_a_change_is_said_by_the_same_rules signal_note_follows_the_language_rules
a_monitor_that_somebody_has_halted_does_not_monitor halted_monitor_does_not_monitor
a_link_that_is_gone_is_left_to_the_watcher missing_link_is_left_to_watcher
says_in_the_right_language_that_a_language_is_none unknown_language_is_reported_in_right_language
a_client_of_ours_uses_a_cookie_until_shortly_before_its_end own_client_uses_cookie_until_nearly_expired
an_initiation_without_an_answer_is_sent_again_for_ninety_seconds unanswered_initiation_repeats_for_ninety_seconds
who_hears_something_says_something_within_ten_seconds receiver_sends_something_within_ten_seconds
a_packet_that_comes_again_is_dropped_and_moves_nobody replayed_packet_is_dropped_without_effect
packets_pass_while_another_session_begins_whoever_begins_it packets_pass_during_a_new_session
a_session_ends_after_three_minutes_at_both_ends session_ends_after_three_minutes
who_began_a_session_begins_another_after_two_minutes_when_it_sends initiator_renews_session_after_two_minutes
an_answer_of_an_earlier_asking_is_none stale_response_is_ignored
a_peer_that_nobody_reaches_is_given_up unreachable_peer_is_given_up
the_peer_gets_all_packets_of_several_that_were_one_in_order joined_packets_arrive_complete_in_order
an_initiation_that_was_damaged_or_is_for_another_is_not_heard damaged_or_misdirected_initiation_is_ignored
keys_with_which_nothing_is_secret_are_refused low_order_keys_are_refused
the_construction_has_the_hashes_that_the_paper_gives construction_hashes_match_the_paper
the_window_lets_each_packet_through_once_and_none_too_late window_accepts_each_packet_once_and_timely
a_packet_may_be_as_late_as_in_the_kernel_and_comes_once packet_lateness_matches_the_kernel
a_session_seals_no_more_than_it_may session_seals_within_its_limit
a_counter_above_the_limit_is_refused_however_it_is_sealed counter_above_the_limit_is_refused
threads_that_seal_at_once_use_each_counter_once concurrent_seals_use_each_counter_once
an_attribute_is_found_behind_others_and_cut_ones_are_none attribute_is_found_unless_truncated
a_link_that_is_no_tun_has_none link_that_is_not_tun_has_none
packets_of_a_connection_become_one_and_again_the_same connection_packets_join_and_split_losslessly
what_asks_to_be_handed_on_ends_what_is_joined_and_says_so_last push_flag_ends_a_joined_packet
what_cannot_be_cut_into_the_same_again_stays_by_itself unsplittable_packet_is_not_joined
one_who_sends_stays_with_one_of_several_sockets sender_stays_with_one_socket
later_versions_keep_ghost_mode_as_it_is later_versions_keep_ghost_mode_unchanged
a_port_that_a_rule_names_and_strangers_do_not_get_into_is_limited named_port_closed_to_strangers_is_limited
what_names_the_port_by_a_set_or_a_map_limits_it_too sets_and_maps_limit_the_port_too
a_port_that_is_let_in_for_some_alone_is_limited port_open_to_some_is_limited
what_nobody_can_take_out_is_named_and_holds_up_no_removal irremovable_rule_is_named_and_blocks_nothing
nobody_is_waited_for_without_end_and_nothing_is_left_to_be_done_later removal_waits_with_bounds_and_completes
a_program_gets_the_word_as_its_last program_gets_the_argument_last
addresses_are_read_as_web_servers_tell_them addresses_are_read_in_web_server_forms
those_whose_address_is_not_told_share_the_limits_of_one_network unknown_addresses_share_one_network_limit
the_way_out_is_nobody_s_business_while_no_port_is_let_in uplink_is_ignored_without_open_port
an_uplink_that_comes_later_is_let_in later_uplink_is_admitted
the_way_of_an_authority_is_open_for_each_renewal_and_no_longer authority_is_admitted_only_for_renewals
a_renewal_opens_what_others_close_unless_the_operator_has_declined renewal_opens_ports_unless_operator_declined
the_keeper_asks_by_a_file_where_systemd_runs_it keeper_asks_by_file_under_systemd
a_port_that_its_owner_limits_stays_limited_and_is_named owner_limited_port_stays_and_is_named
a_tunnel_whose_port_its_owner_limits_is_on_and_says_so tunnel_on_limited_port_reports_it
a_port_that_is_limited_in_ufw_gets_no_rule_of_ours ufw_limited_port_gets_no_rule
rules_that_nobody_can_take_out_are_named_with_the_command_that_does irremovable_rules_are_named_with_their_command
what_names_the_port_by_a_set_of_ipset_limits_it_too ipsets_limit_the_port_too
"""

if __name__ == "__main__":
    main(RULES, dict(line.split() for line in TEST_NAMES.split("\n") if line), MOVES, MARKDOWN, RAW)
