package org.example.films;

import org.springframework.boot.autoconfigure.SpringBootApplication;

/** A Spring backend that calls OpusCine and does nothing else. */
@SpringBootApplication
public class FilmsApplication {}
