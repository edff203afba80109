# C types for the native build of kernel.py. Nothing here changes what the kernel does.

cimport cython

cdef int HEADER, MAX_DEPTH, MAX_INTEGER_OCTETS
cdef int BINARY, INTEGER, TABLE, UNSIGNED
cdef int ANY_ELEMENT, COMPLEX_ELEMENT, END, MIXED_TEXT, SIMPLE_ELEMENT
cdef bytes _PADDING


@cython.final
cdef class Simple:
    cdef public int coding, width, frame
    cdef public object cls
    cdef public str name, base
    cdef public list members
    cdef public dict codes


@cython.final
cdef class Type:
    cdef public object cls, qname, template, copy
    cdef public list lists, slots
    cdef public State start


@cython.final
cdef class State:
    cdef public int position, width
    cdef public list productions, by_term
    cdef public Production end
    cdef public State content


@cython.final
cdef class Production:
    cdef public int action, code, width, count, limit
    cdef public bint is_list
    cdef public str name, field
    cdef public object qname, wrapper
    cdef public Simple simple
    cdef public Type type
    cdef public State target, full


@cython.final
cdef class Slot:
    cdef public str field, name
    cdef public bint is_list
    cdef public int term
    cdef public dict terms


@cython.final
cdef class Decoder:
    cdef public bytes owner
    cdef const unsigned char* octets
    cdef public Py_ssize_t pos, end
    cdef public int depth
    cdef public list path
    cdef public object program, root, deviations, tables, second_level

    @cython.locals(pos=Py_ssize_t, i=Py_ssize_t, word=uint)
    cpdef int bits(self, int n) except -1
    @cython.locals(octet=int)
    cpdef object unsigned(self)
    @cython.locals(octet=ulonglong, shift=int)
    cpdef object unsigned_from(self, unsigned long long value)
    cpdef object long_unsigned(self, object low)
    @cython.locals(start=Py_ssize_t)
    cpdef Py_ssize_t length(self, int extra) except? -1
    @cython.locals(
        pos=Py_ssize_t, i=Py_ssize_t, k=Py_ssize_t, left=int, right=int, source="const unsigned char*",
        target="unsigned char*", result=bytes
    )
    cpdef bytes take(self, Py_ssize_t n)
    @cython.locals(start=Py_ssize_t, at=Py_ssize_t)
    cpdef str string(self, Py_ssize_t n)
    @cython.locals(coding=int, code=int, negative=int)
    cpdef object value(self, Simple simple)
    cpdef object member(self, Simple simple, int code, Py_ssize_t start)
    @cython.locals(start=Py_ssize_t, n=Py_ssize_t)
    cpdef object text(self)
    @cython.locals(start=Py_ssize_t, coding=int, word=int, octet=int)
    cpdef object simple_content(self, Simple simple)
    @cython.locals(code=int)
    cpdef object document(self, list roots, int width)
    @cython.locals(child_type=Type)
    cpdef object element(self, Production production, int depth)
    cpdef int reserve(self, int depth) except -1
    @cython.locals(
        state=State, production=Production, child_type=Type, code=int, action=int, count=int, name=str
    )
    cpdef object fill(self, object obj, Type type_, int depth)
    cpdef object error(self, str reason, str expected=*)


@cython.final
cdef class Encoder:
    cdef public object program
    cdef public bytearray buffer
    cdef unsigned char* octets
    cdef public Py_ssize_t pos, limit
    cdef public int depth
    cdef public list path
    cdef public object names, undeclared

    cpdef int grow(self, Py_ssize_t n) except -1
    @cython.locals(pos=Py_ssize_t, i=Py_ssize_t, word=uint, octets="unsigned char*")
    cpdef int put(self, unsigned int value, int n) except -1
    cpdef int unsigned(self, object value) except -1
    cpdef int short_unsigned(self, unsigned long long value) except -1
    @cython.locals(
        pos=Py_ssize_t, i=Py_ssize_t, k=Py_ssize_t, n=Py_ssize_t, left=int, right=int,
        source="const unsigned char*", target="unsigned char*"
    )
    cpdef int put_octets(self, bytes octets) except -1
    cpdef bytes finish(self)
    cpdef int text(self, str value) except -1
    @cython.locals(code=int)
    cpdef int code_points(self, str value) except -1
    @cython.locals(coding=int)
    cpdef int value(self, Simple simple, object value) except -1
    @cython.locals(child_type=Type)
    cpdef int element(self, Production production, object value, int depth) except -1
    cpdef int reserve(self, int depth) except -1
    @cython.locals(state=State, production=Production, slot=Slot, end=Production, count=int)
    cpdef int emit(self, object obj, Type type_, int depth) except -1
    @cython.locals(production=Production, child_type=Type, term=int, action=int)
    cpdef Production item(self, State state, Slot slot, object item, int depth)
    cpdef object error(self, object value, str why)
