# Where the machine begins: a stack, cleared variables, main. Its result ends the machine.
    .section .text.start
    .globl _start
_start:
    la      sp, stack_top
    la      t0, bss_start
    la      t1, bss_end
1:  bgeu    t0, t1, 2f
    sw      zero, 0(t0)
    addi    t0, t0, 4
    j       1b
2:  call    main
    call    leave
3:  j       3b

# semihost(operation, argument): ask the machine's host. Exactly these three instructions, on one
# page, are the request.
    .globl semihost
    .balign 16
semihost:
    slli    zero, zero, 0x1f
    ebreak
    srai    zero, zero, 7
    ret
