"""What pathlib in Python 3.14 answers, as tables of expressions.

Each line is an expression, `=>`, and the answer: a repr(), in which ``P(...)`` is a path, or the
name of the exception. ``P`` is the class of paths, ``Fake(x)`` an ``os.PathLike`` that says ``x``.
The answers are those of CPython 3.14 and 3.15, where the tests ask pathlib itself for them.
"""

from __future__ import annotations

ANSWERS = {
    "parsing": r"""
str(P()) => '.'
str(P('')) => '.'
str(P('.')) => '.'
str(P('./')) => '.'
str(P('/')) => '/'
str(P('//')) => '//'
str(P('///')) => '/'
str(P('a')) => 'a'
str(P('a/')) => 'a'
str(P('a//b')) => 'a/b'
str(P('a/./b')) => 'a/b'
str(P('./a')) => 'a'
str(P('././a/.')) => 'a'
str(P('a/..')) => 'a/..'
str(P('..')) => '..'
str(P('../a')) => '../a'
str(P('/..')) => '/..'
str(P('/./a')) => '/a'
str(P('//a')) => '//a'
str(P('///a')) => '/a'
str(P('////a//b')) => '/a/b'
str(P('//a/./b/')) => '//a/b'
str(P('//.')) => '//'
str(P('//..')) => '//..'
str(P('~')) => '~'
str(P('./~')) => '~'
str(P('a:b')) => 'a:b'
str(P('./a:b')) => 'a:b'
str(P('c:', 'a')) => 'c:/a'
str(P('\\a')) => '\\a'
str(P('a', '')) => 'a'
str(P('', 'a')) => 'a'
str(P('', '', '')) => '.'
str(P('a', 'b/', '/', '')) => '/'
str(P('a', '/b', 'c')) => '/b/c'
str(P('a', '//b', 'c')) => '//b/c'
str(P('a', '///b', 'c')) => '/b/c'
str(P('/', '/a')) => '/a'
str(P('/', '//a')) => '//a'
str(P('a', './b')) => 'a/b'
str(P('a', '.', 'b')) => 'a/b'
str(P('a/', '/')) => '/'
str(P(' ')) => ' '
str(P('a\n')) => 'a\n'
str(P('a\0b')) => 'a\x00b'
str(P('\udcff')) => '\udcff'
P('a').parts => ('a',)
P('').parts => ()
P('.').parts => ()
P('/').parts => ('/',)
P('//').parts => ('//',)
P('//a').parts => ('//', 'a')
P('/a/b').parts => ('/', 'a', 'b')
P('a/../b').parts => ('a', '..', 'b')
P('~/x').parts => ('~', 'x')
""",
    "anchors": r"""
P('').root => ''
P('a').root => ''
P('/a').root => '/'
P('//a').root => '//'
P('///a').root => '/'
P('//').anchor => '//'
P('/a').anchor => '/'
P('a').anchor => ''
P('//a').drive => ''
P('').is_absolute() => False
P('a').is_absolute() => False
P('/').is_absolute() => True
P('//a').is_absolute() => True
P('..').is_absolute() => False
""",
    "names": r"""
P('').name => ''
P('.').name => ''
P('/').name => ''
P('//').name => ''
P('..').name => '..'
P('a/..').name => '..'
P('a/.').name => 'a'
P('a/b/').name => 'b'
P('/a').name => 'a'
P('...').name => '...'
P(' ').name => ' '
P('a/b.tar.gz').name => 'b.tar.gz'
""",
    "stems and suffixes": r"""
(P('').stem, P('').suffix, P('').suffixes) => ('', '', [])
(P('/').stem, P('/').suffix, P('/').suffixes) => ('', '', [])
(P('a').stem, P('a').suffix, P('a').suffixes) => ('a', '', [])
(P('a.b').stem, P('a.b').suffix, P('a.b').suffixes) => ('a', '.b', ['.b'])
(P('a.b.c').stem, P('a.b.c').suffix, P('a.b.c').suffixes) => ('a.b', '.c', ['.b', '.c'])
(P('a.').stem, P('a.').suffix, P('a.').suffixes) => ('a', '.', ['.'])
(P('a..').stem, P('a..').suffix, P('a..').suffixes) => ('a.', '.', ['.', '.'])
(P('a...').stem, P('a...').suffix, P('a...').suffixes) => ('a..', '.', ['.', '.', '.'])
(P('a..b').stem, P('a..b').suffix, P('a..b').suffixes) => ('a.', '.b', ['.', '.b'])
(P('a.b.').stem, P('a.b.').suffix, P('a.b.').suffixes) => ('a.b', '.', ['.b', '.'])
(P('.a').stem, P('.a').suffix, P('.a').suffixes) => ('.a', '', [])
(P('.a.').stem, P('.a.').suffix, P('.a.').suffixes) => ('.a', '.', ['.'])
(P('.a.b').stem, P('.a.b').suffix, P('.a.b').suffixes) => ('.a', '.b', ['.b'])
(P('..a').stem, P('..a').suffix, P('..a').suffixes) => ('..a', '', [])
(P('..a.b').stem, P('..a.b').suffix, P('..a.b').suffixes) => ('..a', '.b', ['.b'])
(P('..').stem, P('..').suffix, P('..').suffixes) => ('..', '', [])
(P('...').stem, P('...').suffix, P('...').suffixes) => ('...', '', [])
(P('.a..b').stem, P('.a..b').suffix, P('.a..b').suffixes) => ('.a.', '.b', ['.', '.b'])
(P(' .a').stem, P(' .a').suffix, P(' .a').suffixes) => (' ', '.a', ['.a'])
(P('a. b').stem, P('a. b').suffix, P('a. b').suffixes) => ('a', '. b', ['. b'])
(P('a/b.c/').stem, P('a/b.c/').suffix, P('a/b.c/').suffixes) => ('b', '.c', ['.c'])
""",
    "another name": r"""
P('a').with_name('b') => P('b')
P('/a').with_name('b') => P('/b')
P('a/b').with_name('c') => P('a/c')
P('a/b').with_name('..') => P('a/..')
P('a/..').with_name('b') => P('a/b')
P('a/b').with_name('.') => ValueError
P('a/b').with_name('') => ValueError
P('a/b').with_name('c/d') => ValueError
P('a/b').with_name('c/') => ValueError
P('a/b').with_name('/c') => ValueError
P('').with_name('b') => ValueError
P('.').with_name('b') => ValueError
P('/').with_name('b') => ValueError
P('//').with_name('b') => ValueError
P('..').with_name('b') => P('b')
P('a').with_name('c:d') => P('c:d')
P('a').with_name('.c') => P('.c')
P('a').with_name(' ') => P(' ')
P('a').with_name('a\0') => P('a\x00')
P('a').with_name(b'b') => TypeError
P('a').with_name(None) => ValueError
""",
    "another stem": r"""
P('a').with_stem('b') => P('b')
P('a.c').with_stem('b') => P('b.c')
P('a.b.c').with_stem('d') => P('d.c')
P('a.').with_stem('b') => P('b.')
P('.a').with_stem('b') => P('b')
P('.a.b').with_stem('c') => P('c.b')
P('..').with_stem('b') => P('b')
P('a.c').with_stem('') => ValueError
P('a').with_stem('') => ValueError
P('.a').with_stem('') => ValueError
P('a.').with_stem('') => ValueError
P('a.c').with_stem('.') => P('..c')
P('a').with_stem('.') => ValueError
P('a').with_stem('..') => P('..')
P('a.c').with_stem('..') => P('...c')
P('a.c').with_stem('b/d') => ValueError
P('').with_stem('b') => ValueError
P('/').with_stem('b') => ValueError
P('a.c').with_stem('.b') => P('.b.c')
""",
    "another suffix": r"""
P('a').with_suffix('.b') => P('a.b')
P('a.c').with_suffix('.b') => P('a.b')
P('a.b.c').with_suffix('.d') => P('a.b.d')
P('a.c').with_suffix('') => P('a')
P('a').with_suffix('') => P('a')
P('a.').with_suffix('.b') => P('a.b')
P('a.').with_suffix('') => P('a')
P('a..').with_suffix('.b') => P('a..b')
P('a').with_suffix('.') => P('a.')
P('a.c').with_suffix('.') => P('a.')
P('.a').with_suffix('.b') => P('.a.b')
P('.a.b').with_suffix('') => P('.a')
P('..').with_suffix('.b') => P('...b')
P('..').with_suffix('') => P('..')
P('...').with_suffix('.b') => P('....b')
P('a').with_suffix('b') => ValueError
P('a').with_suffix('.b.c') => P('a.b.c')
P('a').with_suffix('..') => P('a..')
P('a').with_suffix('./b') => ValueError
P('a').with_suffix('/b') => ValueError
P('a').with_suffix('.b/c') => ValueError
P('a').with_suffix(' .b') => ValueError
P('').with_suffix('.b') => ValueError
P('').with_suffix('') => ValueError
P('.').with_suffix('.b') => ValueError
P('/').with_suffix('.b') => ValueError
P('//').with_suffix('.b') => ValueError
P('a').with_suffix(b'.b') => TypeError
P('a').with_suffix(None) => TypeError
P('a').with_suffix('.b\0') => P('a.b\x00')
""",
    "parents": r"""
P('').parent => P('.')
P('.').parent => P('.')
P('/').parent => P('/')
P('//').parent => P('//')
P('a').parent => P('.')
P('/a').parent => P('/')
P('//a').parent => P('//')
P('a/b').parent => P('a')
P('..').parent => P('.')
P('a/..').parent => P('a')
list(P('').parents) => []
list(P('/').parents) => []
list(P('a').parents) => [P('.')]
list(P('/a/b').parents) => [P('/a'), P('/')]
list(P('a/b/c').parents) => [P('a/b'), P('a'), P('.')]
list(P('//a/b').parents) => [P('//a'), P('//')]
len(P('a/b/c').parents) => 3
P('a/b/c').parents[0] => P('a/b')
P('a/b/c').parents[-1] => P('.')
P('a/b/c').parents[-3] => P('a/b')
P('a/b/c').parents[3] => IndexError
P('a/b/c').parents[-4] => IndexError
P('a/b/c').parents[0:1] => (P('a/b'),)
P('a/b/c').parents[:2] => (P('a/b'), P('a'))
P('a/b/c').parents[1:] => (P('a'), P('.'))
P('a/b/c').parents[-1:] => (P('.'),)
P('a/b/c').parents[::2] => (P('a/b'), P('.'))
P('a/b/c').parents[::-1] => (P('.'), P('a'), P('a/b'))
P('a/b/c').parents[7:9] => ()
P('/a/b').parents[-1] => P('/')
P('a') in P('a/b/c').parents => True
P('a/b/c') in P('a/b/c').parents => False
P('a/b/c').parents['x'] => TypeError
""",
    "joining": r"""
P('a').joinpath() => P('a')
P('a').joinpath('b') => P('a/b')
P('a').joinpath('b', 'c/d') => P('a/b/c/d')
P('a').joinpath('/b') => P('/b')
P('a').joinpath('b', '/c', 'd') => P('/c/d')
P('a').joinpath('') => P('a')
P('a').joinpath('..') => P('a/..')
P('a').joinpath(P('b')) => P('a/b')
P('a').joinpath(PurePosixPath('b'), 'c') => P('a/b/c')
P('/a').joinpath('//b') => P('//b')
P('//a').joinpath('b') => P('//a/b')
P('//a').joinpath('/b') => P('/b')
P('//a').joinpath('//b') => P('//b')
P('a').joinpath(b'b') => TypeError
P('a').joinpath(None) => TypeError
P('a').joinpath(1) => TypeError
P('a') / 'b' => P('a/b')
P('a') / 'b' / 'c' => P('a/b/c')
P('a') / '/b' => P('/b')
P('a') / '' => P('a')
P('a') / P('/b') => P('/b')
P('a') / PurePosixPath('b/c') => P('a/b/c')
P('a') / b'b' => TypeError
P('a') / 1 => TypeError
P('a') / None => TypeError
P('a') / ['b'] => TypeError
'a' / P('b') => P('a/b')
'/a' / P('b') => P('/a/b')
'a' / P('/b') => P('/b')
'' / P('b') => P('b')
'.' / P('b') => P('b')
PurePosixPath('a') / P('b') => P('a/b')
b'a' / P('b') => TypeError
1 / P('b') => TypeError
P('a', PurePosixPath('b')) => P('a/b')
P(PurePosixPath('/a'), 'b') => P('/a/b')
P(Fake('a'), Fake('b/c')) => P('a/b/c')
P(Fake(b'a')) => TypeError
P(Fake(1)) => TypeError
P(b'a') => TypeError
P('a', b'b') => TypeError
P(None) => TypeError
P(1) => TypeError
P(['a']) => TypeError
P(PureWindowsPath('c:\\a\\b')) => P('c:/a/b')
P(PureWindowsPath('a\\b'), 'c') => P('a/b/c')
P('z', PureWindowsPath('\\a\\b')) => P('/a/b')
P('z', PureWindowsPath('//host/share/a')) => P('//host/share/a')
P('a') / PureWindowsPath('b\\c') => P('a/b/c')
P('a').with_segments('b', 'c') => P('b/c')
P('a').with_segments() => P('.')
P('a').with_segments(P('b'), 'c') => P('b/c')
""",
    "relative paths": r"""
P('a/b').relative_to('a') => P('b')
P('a/b').relative_to('a/') => P('b')
P('a/b').relative_to('a/b') => P('.')
P('a/b').relative_to('') => P('a/b')
P('a/b').relative_to('.') => P('a/b')
P('a/b').relative_to('b') => ValueError
P('a/b').relative_to('a/b/c') => ValueError
P('a/b').relative_to('/a') => ValueError
P('/a/b').relative_to('/') => P('a/b')
P('/a/b').relative_to('/a') => P('b')
P('/a/b').relative_to('a') => ValueError
P('/a/b').relative_to('') => ValueError
P('/a/b').relative_to('//a') => ValueError
P('//a/b').relative_to('//') => P('a/b')
P('//a/b').relative_to('/') => ValueError
P('/a/b').relative_to('..') => ValueError
P('a/../b').relative_to('a') => P('../b')
P('a/../b').relative_to('a/..') => P('b')
P('').relative_to('') => P('.')
P('').relative_to('a') => ValueError
P('a/b').relative_to(P('a')) => P('b')
P('a/b').relative_to(PurePosixPath('a')) => P('b')
P('a/b').relative_to(b'a') => TypeError
P('a/b').relative_to() => TypeError
P('a/b').relative_to('a', 'b') => TypeError
P('a/b').relative_to('a/c', walk_up=True) => P('../b')
P('a/b').relative_to('c', walk_up=True) => P('../a/b')
P('a/b').relative_to('c/d/e', walk_up=True) => P('../../../a/b')
P('a/b').relative_to('a/b/c', walk_up=True) => P('..')
P('a/b').relative_to('a/b', walk_up=True) => P('.')
P('a/b').relative_to('', walk_up=True) => P('a/b')
P('').relative_to('a/b', walk_up=True) => P('../..')
P('/a/b').relative_to('/c', walk_up=True) => P('../a/b')
P('/a/b').relative_to('/', walk_up=True) => P('a/b')
P('/').relative_to('/a/b', walk_up=True) => P('../..')
P('/a/b').relative_to('c', walk_up=True) => ValueError
P('a/b').relative_to('/c', walk_up=True) => ValueError
P('//a').relative_to('/b', walk_up=True) => ValueError
P('a/b').relative_to('..', walk_up=True) => ValueError
P('a/b').relative_to('../c', walk_up=True) => ValueError
P('../a').relative_to('..', walk_up=True) => P('a')
P('../a').relative_to('../b', walk_up=True) => P('../a')
P('a/../b').relative_to('a/c', walk_up=True) => P('../../b')
P('a/b').relative_to('a/../b', walk_up=True) => ValueError
P('/a').relative_to('/..', walk_up=True) => ValueError
P('a/b').is_relative_to('a') => True
P('a/b').is_relative_to('a/b') => True
P('a/b').is_relative_to('a/b/c') => False
P('a/b').is_relative_to('') => True
P('a/b').is_relative_to('b') => False
P('a/b').is_relative_to('/a') => False
P('/a/b').is_relative_to('/') => True
P('/a/b').is_relative_to('') => False
P('//a').is_relative_to('/') => False
P('/a').is_relative_to('//') => False
P('a/b').is_relative_to(P('a')) => True
P('a/bc').is_relative_to('a/b') => False
P('a/b').is_relative_to(b'a') => TypeError
P('a/b').is_relative_to() => TypeError
P('a/b').is_relative_to('a', 'b') => TypeError
""",
    "match": r"""
P('a/b.py').match('b.py') => True
P('a/b.py').match('*.py') => True
P('a/b.py').match('a/*.py') => True
P('a/b.py').match('*/*.py') => True
P('a/b.py').match('*/*/*.py') => False
P('a/b.py').match('/*/*.py') => False
P('/a/b.py').match('/a/*.py') => True
P('/a/b.py').match('/b.py') => False
P('/a/b.py').match('a/*.py') => True
P('/b.py').match('/*.py') => True
P('/a/b.py').match('/*.py') => False
P('//a/b.py').match('/a/b.py') => False
P('//a/b.py').match('//a/b.py') => True
P('/a/b.py').match('//a/b.py') => False
P('a/b/c.py').match('**/c.py') => True
P('a/b/c.py').match('a/**/c.py') => True
P('a/c.py').match('a/**/c.py') => False
P('a/b/b/c.py').match('a/**/c.py') => False
P('a/b').match('**') => True
P('').match('**') => False
P('').match('*') => False
P('/').match('*') => False
P('/').match('/') => True
P('/a').match('/') => False
P('a').match('') => ValueError
P('a').match('.') => ValueError
P('a').match('./a') => True
P('a').match('a/') => True
P('a/b').match('a//b') => True
P('.a').match('*') => True
P('.a').match('.*') => True
P('.a').match('?a') => True
P('a').match('?') => True
P('ab').match('?') => False
P('a').match('[a-c]') => True
P('d').match('[a-c]') => False
P('d').match('[!a-c]') => True
P('a').match('[!a-c]') => False
P('^').match('[^a]') => True
P('b').match('[^a]') => False
P(']').match('[]]') => True
P('-').match('[]-]') => True
P(']').match('[]-]') => True
P('a').match('[]-]') => False
P('a').match('[!]-]') => True
P('[').match('[[]') => True
P('[').match('[') => True
P('[a').match('[a') => True
P('[]').match('[]') => True
P('a').match('[b-a]') => False
P('b').match('[b-a]') => False
P('a').match('[a-]') => True
P('-').match('[a-]') => True
P('!').match('[a!]') => True
P('\\').match('[\\]') => True
P('a').match('[a\\]') => True
P('&').match('[&&a]') => True
P('~').match('[~~]') => True
P('a\nb').match('a*b') => True
P('a\nb').match('a?b') => True
P('a\n').match('a') => False
P('a+').match('a+') => True
P('aa').match('a+') => False
P('(a)').match('(a)') => True
P('a.b').match('a.b') => True
P('axb').match('a.b') => False
P('a/b').match('a[/]b') => False
P('\udcff').match('?') => True
P('a').match('a**') => True
P('a/b').match('***') => True
P('Ab').match('aB') => False
P('Ab').match('aB', case_sensitive=False) => True
P('Ab').match('Ab', case_sensitive=True) => True
P('Ab').match('a*', case_sensitive=True) => False
P('Ab').match('a*', case_sensitive=False) => True
P('É').match('é', case_sensitive=False) => True
P('ß').match('ẞ', case_sensitive=False) => True
P('K').match('[a-z]', case_sensitive=False) => True
P('a').match(P('a')) => True
P('a').match(PurePosixPath('*')) => True
P('a').match(b'a') => TypeError
P('a').match(None) => TypeError
""",
    "full match": r"""
P('a').full_match('a') => True
P('a').full_match('') => False
P('').full_match('') => True
P('').full_match('.') => True
P('.').full_match('*') => False
P('').full_match('**') => True
P('').full_match('**/*') => False
P('').full_match('**/') => True
P('/').full_match('/') => True
P('/').full_match('**') => True
P('/').full_match('/**') => True
P('/').full_match('*') => False
P('/').full_match('/*') => False
P('/').full_match('') => False
P('a').full_match('*') => True
P('a/b').full_match('*') => False
P('a/b').full_match('*/*') => True
P('a/b').full_match('b') => False
P('a/b').full_match('**') => True
P('a/b').full_match('**/b') => True
P('b').full_match('**/b') => True
P('a/b').full_match('a/**') => True
P('a').full_match('a/**') => False
P('a/b/c').full_match('a/**') => True
P('a/b/c').full_match('a/**/c') => True
P('a/c').full_match('a/**/c') => True
P('a/b/d/c').full_match('a/**/c') => True
P('ac').full_match('a/**/c') => False
P('a/b/c').full_match('**/**') => True
P('a/b/c').full_match('**/*') => True
P('a/b/c').full_match('**/*/c') => True
P('c').full_match('**/*/c') => False
P('a/b/c').full_match('**/b/**/c') => True
P('a/b/x/c').full_match('**/b/**/c') => True
P('a/b/x/c').full_match('**/b/**/**/c') => True
P('a/b.py').full_match('**.py') => False
P('b.py').full_match('**.py') => True
P('a/b').full_match('a**') => False
P('ab').full_match('a**') => True
P('a/b').full_match('**b') => False
P('/a/b').full_match('**') => True
P('/a/b').full_match('/**') => True
P('/a/b').full_match('/**/b') => True
P('/a/b').full_match('**/b') => True
P('/a/b').full_match('/*') => False
P('/a').full_match('/*') => True
P('/a').full_match('a') => False
P('/a').full_match('//a') => False
P('//a').full_match('/a') => False
P('//a').full_match('//a') => True
P('//a').full_match('/**') => True
P('//a').full_match('//**') => True
P('a/b').full_match('a/b/') => True
P('a/b').full_match('a/./b') => True
P('a/b').full_match('./a/b') => True
P('a/b').full_match('a//b') => True
P('a/../b').full_match('a/../b') => True
P('a/../b').full_match('a/*/b') => True
P('.a').full_match('*') => True
P('.a/.b').full_match('**') => True
P('a').full_match('?') => True
P('a/b').full_match('a?b') => False
P('a/b').full_match('a[/]b') => False
P('a').full_match('[!b]') => True
P(']').full_match('[]-]') => True
P('a\nb/c').full_match('*/c') => True
P('a\nb/c').full_match('**') => True
P('a\nb/c').full_match('**/c') => True
P('a\n').full_match('a') => False
P('A/b').full_match('a/B') => False
P('A/b').full_match('a/B', case_sensitive=False) => True
P('A/b').full_match('**/B', case_sensitive=False) => True
P('a').full_match(P('a')) => True
P('a').full_match(PurePosixPath('*')) => True
P('a').full_match(b'a') => TypeError
""",
    "comparing": r"""
P('a/b') == P('a', 'b') => True
P('a/b') == P('a//b/') => True
P('a') == P('A') => False
P('a') == 'a' => False
P('/a') == P('//a') => False
P('/a') == P('///a') => True
P('a') != P('b') => True
hash(P('a/b')) == hash(P('a//b')) => True
sorted([P('b'), P('a/b'), P('A'), P('a.b')]) => [P('A'), P('a/b'), P('a.b'), P('b')]
sorted([P('a b'), P('a/a'), P('a')]) => [P('a'), P('a/a'), P('a b')]
sorted([P('..'), P(''), P('/')]) => [P('/'), P('.'), P('..')]
P('a') < P('a/b') => True
P('a/b') < P('a.b') => True
P('a b') < P('a/b') => False
P('/a') < P('a') => True
P('') < P('/') => False
P('a') <= P('a') => True
P('a') >= P('b') => False
P('a') > P('') => True
P('a') < 'b' => TypeError
P('a') < 1 => TypeError
P('a') < PureWindowsPath('b') => TypeError
P('a') == PureWindowsPath('a') => False
len({P('a'), P('./a'), P('a/')}) => 1
""",
    "text": r"""
P('a/b').as_posix() => 'a/b'
P('').as_posix() => '.'
P('//a').as_posix() => '//a'
bytes(P('a/b')) => b'a/b'
bytes(P('')) => b'.'
bytes(P('\udcff')) => b'\xff'
bytes(P('é')) => b'\xc3\xa9'
str(P('\udcff')) => '\udcff'
f"{P('a')}" => 'a'
'%s' % P('a/b') => 'a/b'
P('a').parser.__name__ => 'posixpath'
""",
}

GLOBS = {
    "glob": r"""
P('').glob('*') => .h [z] a empty f gone loop to-a to-f
P('').glob('*/') => .h a empty to-a
P('').glob('*/*') => .h/x.txt a/b a/x.txt to-a/b to-a/x.txt
P('').glob('*.txt') => nothing
P('').glob('**') => . .h .h/x.txt [z] a a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
    empty f gone loop to-a to-f
P('').glob('**/') => . .h a a/b a/b/c empty
P('').glob('**/*') => .h .h/x.txt [z] a a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
    empty f gone loop to-a to-f
P('').glob('**/*/') => .h a a/b a/b/c a/b/side empty to-a
P('').glob('**/*.txt') => .h/x.txt a/b/x.txt a/x.txt
P('').glob('**/x.txt') => .h/x.txt a/b/x.txt a/x.txt
P('').glob('**/a') => a a/b/c/a
P('').glob('**/a/') => a
P('').glob('a/**') => a a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
P('').glob('a/**/') => a a/b a/b/c
P('').glob('a/**/*') => a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
P('').glob('a/**/x.txt') => a/b/x.txt a/x.txt
P('').glob('**/b/**') => a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY
P('').glob('**/**') => . .h .h/x.txt [z] a a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
    empty f gone loop to-a to-f
P('').glob('**/**/a') => a a/b/c/a
P('').glob('*/**/x.txt') => .h/x.txt a/b/x.txt a/x.txt to-a/b/x.txt to-a/x.txt
P('').glob('**/..') => .. .h/.. a/.. a/b/.. a/b/c/.. empty/..
P('').glob('..') => ..
P('').glob('../') => ..
P('').glob('*/..') => .h/.. a/.. empty/.. to-a/..
P('').glob('a/..') => a/..
P('').glob('a/../*') => a/../.h a/../[z] a/../a a/../empty a/../f a/../gone a/../loop a/../to-a
    a/../to-f
P('').glob('a/../a/x.*') => a/../a/x.txt
P('').glob('missing/..') => nothing
P('').glob('f/..') => nothing
P('').glob('./a') => a
P('').glob('a/./b') => a/b
P('').glob('a//b') => a/b
P('').glob('a/') => a
P('').glob('f/') => nothing
P('').glob('f') => f
P('').glob('missing') => nothing
P('').glob('missing/') => nothing
P('').glob('gone') => gone
P('').glob('gone/') => nothing
P('').glob('go*') => gone
P('').glob('go*/') => nothing
P('').glob('loop') => loop
P('').glob('loop/') => nothing
P('').glob('lo*/*') => nothing
P('').glob('to-a') => to-a
P('').glob('to-a/') => to-a
P('').glob('to-a/*') => to-a/b to-a/x.txt
P('').glob('to-*/x.txt') => to-a/x.txt
P('').glob('to-f/') => nothing
P('').glob('to-f/*') => nothing
P('').glob('.*') => .h
P('').glob('.*/*') => .h/x.txt
P('').glob('.h') => .h
P('').glob('?') => a f
P('').glob('[f]') => f
P('').glob('[[]*') => [z]
P('').glob('[!a-z]*') => .h [z]
P('').glob('[') => nothing
P('').glob('a**') => a
P('').glob('**a') => a to-a
P('').glob('x.TXT') => nothing
P('').glob('A/X.txt') => nothing
P('').glob('a/b/Y*') => nothing
P('').glob('') => ValueError
P('').glob('.') => ValueError
P('').glob('./') => ValueError
P('').glob('/') => NotImplementedError
P('').glob('/a') => NotImplementedError
P('').glob('**/side') => a/b/side
P('').glob('**/side/*') => a/b/side/x.txt
P('').glob('**/side/') => a/b/side
P('').glob('a/b/side/**') => a/b/side a/b/side/x.txt
P('').glob('*/c/a') => nothing
P('').glob('a\0') => nothing
P('').glob('*\0/x') => nothing
""",
    "rglob": r"""
P('a').rglob('*') => a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
P('a').rglob('*/') => a/b a/b/c a/b/side
P('a').rglob('*/*') => a/b/c a/b/c/a a/b/side a/b/side/x.txt a/b/x.txt a/b/y.PY
P('a').rglob('*.txt') => a/b/x.txt a/x.txt
P('a').rglob('**') => a a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
P('a').rglob('**/') => a a/b a/b/c
P('a').rglob('**/*') => a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
P('a').rglob('**/*/') => a/b a/b/c a/b/side
P('a').rglob('**/*.txt') => a/b/x.txt a/x.txt
P('a').rglob('**/x.txt') => a/b/x.txt a/x.txt
P('a').rglob('**/a') => a/b/c/a
P('a').rglob('**/a/') => nothing
P('a').rglob('a/**') => nothing
P('a').rglob('a/**/') => nothing
P('a').rglob('a/**/*') => nothing
P('a').rglob('a/**/x.txt') => nothing
P('a').rglob('*/**/x.txt') => a/b/side/x.txt a/b/x.txt
P('a').rglob('a/..') => nothing
P('a').rglob('a/../*') => nothing
P('a').rglob('a/../a/x.*') => nothing
P('a').rglob('missing/..') => nothing
P('a').rglob('f/..') => nothing
P('a').rglob('./a') => a/b/c/a
P('a').rglob('a/./b') => nothing
P('a').rglob('a//b') => nothing
P('a').rglob('a/') => nothing
P('a').rglob('f/') => nothing
P('a').rglob('f') => nothing
P('a').rglob('missing') => nothing
P('a').rglob('missing/') => nothing
P('a').rglob('gone') => nothing
P('a').rglob('gone/') => nothing
P('a').rglob('go*') => nothing
P('a').rglob('go*/') => nothing
P('a').rglob('loop') => nothing
P('a').rglob('loop/') => nothing
P('a').rglob('lo*/*') => nothing
P('a').rglob('to-a') => nothing
P('a').rglob('to-a/') => nothing
P('a').rglob('to-a/*') => nothing
P('a').rglob('to-*/x.txt') => nothing
P('a').rglob('to-f/') => nothing
P('a').rglob('to-f/*') => nothing
P('a').rglob('.*') => nothing
P('a').rglob('.*/*') => nothing
P('a').rglob('.h') => nothing
P('a').rglob('?') => a/b a/b/c a/b/c/a
P('a').rglob('[f]') => nothing
P('a').rglob('[[]*') => nothing
P('a').rglob('[!a-z]*') => nothing
P('a').rglob('[') => nothing
P('a').rglob('a**') => a/b/c/a
P('a').rglob('**a') => a/b/c/a
P('a').rglob('x.TXT') => nothing
P('a').rglob('A/X.txt') => nothing
P('a').rglob('a/b/Y*') => nothing
P('a').rglob('') => a a/b a/b/c
P('a').rglob('.') => a a/b a/b/c a/b/c/a a/b/side a/b/x.txt a/b/y.PY a/x.txt
P('a').rglob('./') => a a/b a/b/c
P('a').rglob('/') => NotImplementedError
P('a').rglob('/a') => NotImplementedError
P('a').rglob('**/side') => a/b/side
P('a').rglob('**/side/*') => a/b/side/x.txt
P('a').rglob('**/side/') => a/b/side
P('a').rglob('a/b/side/**') => nothing
P('a').rglob('*/c/a') => a/b/c/a
P('a').rglob('a\0') => nothing
P('a').rglob('*\0/x') => nothing
""",
    "glob through links": r"""
P('').glob('*', recurse_symlinks=True) => .h [z] a empty f gone loop to-a to-f
P('').glob('*/', recurse_symlinks=True) => .h a empty to-a
P('').glob('*/*', recurse_symlinks=True) => .h/x.txt a/b a/x.txt to-a/b to-a/x.txt
P('').glob('*.txt', recurse_symlinks=True) => nothing
P('').glob('**', recurse_symlinks=True) => . .h .h/x.txt [z] a a/b a/b/c a/b/c/a a/b/side
    a/b/side/x.txt a/b/x.txt a/b/y.PY a/x.txt empty f gone loop to-a to-a/b to-a/b/c to-a/b/c/a
    to-a/b/side to-a/b/side/x.txt to-a/b/x.txt to-a/b/y.PY to-a/x.txt to-f
P('').glob('**/', recurse_symlinks=True) => . .h a a/b a/b/c a/b/side empty to-a to-a/b to-a/b/c
    to-a/b/side
P('').glob('**/*', recurse_symlinks=True) => .h .h/x.txt [z] a a/b a/b/c a/b/c/a a/b/side
    a/b/side/x.txt a/b/x.txt a/b/y.PY a/x.txt empty f gone loop to-a to-a/b to-a/b/c to-a/b/c/a
    to-a/b/side to-a/b/side/x.txt to-a/b/x.txt to-a/b/y.PY to-a/x.txt to-f
P('').glob('**/*/', recurse_symlinks=True) => .h a a/b a/b/c a/b/side empty to-a to-a/b to-a/b/c
    to-a/b/side
P('').glob('**/*.txt', recurse_symlinks=True) => .h/x.txt a/b/side/x.txt a/b/x.txt a/x.txt
    to-a/b/side/x.txt to-a/b/x.txt to-a/x.txt
P('').glob('**/x.txt', recurse_symlinks=True) => .h/x.txt a/b/side/x.txt a/b/x.txt a/x.txt
    to-a/b/side/x.txt to-a/b/x.txt to-a/x.txt
P('').glob('**/a', recurse_symlinks=True) => a a/b/c/a to-a/b/c/a
P('').glob('**/a/', recurse_symlinks=True) => a
P('').glob('a/**', recurse_symlinks=True) => a a/b a/b/c a/b/c/a a/b/side a/b/side/x.txt
    a/b/x.txt a/b/y.PY a/x.txt
P('').glob('a/**/', recurse_symlinks=True) => a a/b a/b/c a/b/side
P('').glob('a/**/*', recurse_symlinks=True) => a/b a/b/c a/b/c/a a/b/side a/b/side/x.txt
    a/b/x.txt a/b/y.PY a/x.txt
P('').glob('a/**/x.txt', recurse_symlinks=True) => a/b/side/x.txt a/b/x.txt a/x.txt
P('').glob('**/b/**', recurse_symlinks=True) => a/b/c a/b/c/a a/b/side a/b/side/x.txt a/b/x.txt
    a/b/y.PY to-a/b/c to-a/b/c/a to-a/b/side to-a/b/side/x.txt to-a/b/x.txt to-a/b/y.PY
P('').glob('**/**', recurse_symlinks=True) => . .h .h/x.txt [z] a a/b a/b/c a/b/c/a a/b/side
    a/b/side/x.txt a/b/x.txt a/b/y.PY a/x.txt empty f gone loop to-a to-a/b to-a/b/c to-a/b/c/a
    to-a/b/side to-a/b/side/x.txt to-a/b/x.txt to-a/b/y.PY to-a/x.txt to-f
P('').glob('**/**/a', recurse_symlinks=True) => a a/b/c/a to-a/b/c/a
P('').glob('*/**/x.txt', recurse_symlinks=True) => .h/x.txt a/b/side/x.txt a/b/x.txt a/x.txt
    to-a/b/side/x.txt to-a/b/x.txt to-a/x.txt
P('').glob('**/..', recurse_symlinks=True) => .. .h/.. a/.. a/b/.. a/b/c/.. a/b/side/.. empty/..
    to-a/.. to-a/b/.. to-a/b/c/.. to-a/b/side/..
P('').glob('*/..', recurse_symlinks=True) => .h/.. a/.. empty/.. to-a/..
P('').glob('a/../*', recurse_symlinks=True) => a/../.h a/../[z] a/../a a/../empty a/../f
    a/../gone a/../loop a/../to-a a/../to-f
P('').glob('a/../a/x.*', recurse_symlinks=True) => a/../a/x.txt
P('').glob('go*', recurse_symlinks=True) => gone
P('').glob('go*/', recurse_symlinks=True) => nothing
P('').glob('lo*/*', recurse_symlinks=True) => nothing
P('').glob('to-a/*', recurse_symlinks=True) => to-a/b to-a/x.txt
P('').glob('to-*/x.txt', recurse_symlinks=True) => to-a/x.txt
P('').glob('to-f/*', recurse_symlinks=True) => nothing
P('').glob('.*', recurse_symlinks=True) => .h
P('').glob('.*/*', recurse_symlinks=True) => .h/x.txt
P('').glob('[[]*', recurse_symlinks=True) => [z]
P('').glob('[!a-z]*', recurse_symlinks=True) => .h [z]
P('').glob('a**', recurse_symlinks=True) => a
P('').glob('**a', recurse_symlinks=True) => a to-a
P('').glob('a/b/Y*', recurse_symlinks=True) => nothing
P('').glob('**/side', recurse_symlinks=True) => a/b/side to-a/b/side
P('').glob('**/side/*', recurse_symlinks=True) => a/b/side/x.txt to-a/b/side/x.txt
P('').glob('**/side/', recurse_symlinks=True) => a/b/side to-a/b/side
P('').glob('a/b/side/**', recurse_symlinks=True) => a/b/side a/b/side/x.txt
P('').glob('*/c/a', recurse_symlinks=True) => nothing
""",
    "glob whatever the case": r"""
P('').glob('A', case_sensitive=True) => nothing
P('').glob('A', case_sensitive=False) => a
P('').glob('F', case_sensitive=True) => nothing
P('').glob('F', case_sensitive=False) => f
P('').glob('A/X.TXT', case_sensitive=True) => nothing
P('').glob('A/X.TXT', case_sensitive=False) => a/x.txt
P('').glob('A/*.txt', case_sensitive=True) => nothing
P('').glob('A/*.txt', case_sensitive=False) => a/x.txt
P('').glob('**/X.txt', case_sensitive=True) => nothing
P('').glob('**/X.txt', case_sensitive=False) => .h/x.txt a/b/x.txt a/x.txt
P('').glob('**/B/*', case_sensitive=True) => nothing
P('').glob('**/B/*', case_sensitive=False) => a/b/c a/b/side a/b/x.txt a/b/y.PY
P('').glob('**/*.py', case_sensitive=True) => nothing
P('').glob('**/*.py', case_sensitive=False) => a/b/y.PY
P('').glob('[A]', case_sensitive=True) => nothing
P('').glob('[A]', case_sensitive=False) => a
P('').glob('[A-C]/b', case_sensitive=True) => nothing
P('').glob('[A-C]/b', case_sensitive=False) => a/b
P('').glob('TO-A/*', case_sensitive=True) => nothing
P('').glob('TO-A/*', case_sensitive=False) => to-a/b to-a/x.txt
P('').glob('a/../A', case_sensitive=True) => nothing
P('').glob('a/../A', case_sensitive=False) => a/../a
P('').glob('LOOP', case_sensitive=True) => nothing
P('').glob('LOOP', case_sensitive=False) => loop
P('').glob('GONE', case_sensitive=True) => nothing
P('').glob('GONE', case_sensitive=False) => gone
P('').glob('missing', case_sensitive=True) => nothing
P('').glob('missing', case_sensitive=False) => nothing
""",
}
"""The like for globs in the small tree of ``test_reading.py``: the paths that are found, sorted, or
the name of the exception. An indented line goes on with the one before it.
"""
