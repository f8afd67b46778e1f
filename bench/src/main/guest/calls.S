# A kernel that measures the hypervisor it runs on: where calls.c is entered, on two CPUs. An ELF file
# with a PVH note (Xen, docs/misc/pvh.pandoc), entered in 32-bit mode; the second CPU is started by
# INIT and SIPI (Intel SDM vol. 3, 9.4) in real mode at TRAMPOLINE.

    .set TRAMPOLINE, 0x8000
    .set CODE64, 8
    .set CODE32, 16
    .set DATA, 24

    .section .note.Xen, "a", @note
    .long 4, 4, 18                      # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long start

    .text
    .code32
    .globl start
start:
    mov $stack_end, %esp
    mov $directories, %edi              # 4 GiB of large pages, where they are
    mov $0x83, %eax
    mov $2048, %ecx
1:  mov %eax, (%edi)
    movl $0, 4(%edi)
    add $0x200000, %eax
    add $8, %edi
    loop 1b
    mov $directories + 3, %eax
    mov $pointers, %edi
    mov $4, %ecx
2:  mov %eax, (%edi)
    add $0x1000, %eax
    add $8, %edi
    loop 2b
    movl $pointers + 3, top
    mov $main, %ebx
    jmp go_long

second32:
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $second_stack_end, %esp
    mov $second_main, %ebx
go_long:
    mov %cr4, %eax
    or $0x20, %eax                      # PAE
    mov %eax, %cr4
    mov $top, %eax
    mov %eax, %cr3
    mov $0xC0000080, %ecx               # EFER.LME
    rdmsr
    or $0x100, %eax
    wrmsr
    mov %cr0, %eax
    or $0x80000001, %eax
    mov %eax, %cr0
    lgdt gdt_register
    ljmp $CODE64, $3f

    .code64
3:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %ebx, %ebx
    call *%rbx
4:  hlt
    jmp 4b

    .globl trampoline, trampoline_end
    .code16
trampoline:
    cli
    mov %cs, %ax
    mov %ax, %ds
    lgdtl near_register - trampoline
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $CODE32, $second32
near_register:
    .word gdt_end - gdt - 1
    .long gdt
trampoline_end:

    .section .rodata
    .balign 8
gdt:
    .quad 0
    .quad 0x00AF9A000000FFFF
    .quad 0x00CF9A000000FFFF
    .quad 0x00CF92000000FFFF
gdt_end:
gdt_register:
    .word gdt_end - gdt - 1
    .long gdt

    .bss
    .balign 4096
top:
    .skip 4096
pointers:
    .skip 4096
directories:
    .skip 4 * 4096
    .skip 8192
stack_end:
    .skip 8192
second_stack_end:

    .section .note.GNU-stack, "", @progbits
