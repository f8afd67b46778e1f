# A kernel of a few instructions that says "@first" on the serial line: how long a machine takes to
# execute anything. An ELF file with a PVH note (Xen, docs/misc/pvh.pandoc), entered in 32-bit mode.

    .section .note.Xen, "a", @note
    .long 4, 4, 18                      # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start

    .text
    .code32
    .globl start
start:
    mov $text, %esi
    mov $0x3F8, %edx
1:  lodsb
    out %al, %dx
    cmp $'\n', %al
    jne 1b
2:  hlt
    jmp 2b

    .section .rodata
text:
    .ascii "@first\n"
